// SPDX-License-Identifier: Apache-2.0
// Packets wait here while their headers are looked up. A packet comes out only when all of it is in; a
// bad one never does. Page: fpga/doc/tiara_packet_fifo.md.

module tiara_packet_fifo #(
  parameter int unsigned Depth = 512,  // beats; a packet must fit
  parameter int unsigned DataBits = 512,
  localparam int unsigned KeepBits = DataBits / 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                s_axis_tvalid,
  output logic                s_axis_tready,
  input  logic [DataBits-1:0] s_axis_tdata,
  input  logic [KeepBits-1:0] s_axis_tkeep,
  input  logic                s_axis_tlast,
  input  logic                s_axis_tuser,  // with tlast: forget the packet
  output logic                m_axis_tvalid,
  input  logic                m_axis_tready,
  output logic [DataBits-1:0] m_axis_tdata,
  output logic [KeepBits-1:0] m_axis_tkeep,
  output logic                m_axis_tlast
);

  localparam int unsigned PtrBits = $clog2(Depth);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check_depth
    $error("Depth must be a power of two, at least 2");
  end
  if (DataBits % 8 != 0) begin : gen_check_data
    $error("DataBits must be whole bytes");
  end

  typedef struct packed {
    logic                last;
    logic [KeepBits-1:0] keep;
    logic [DataBits-1:0] data;
  } beat_t;

  beat_t memory[Depth];
  beat_t out_q;
  logic out_valid_q;

  // One bit more than a place: all places used differs from none.
  logic [PtrBits:0] write_q, commit_q, read_q;
  logic push, pop, full;

  assign full = (write_q - read_q) == (PtrBits + 1)'(Depth);
  assign s_axis_tready = !full;
  assign push = s_axis_tvalid && s_axis_tready;
  assign pop = read_q != commit_q && (!out_valid_q || m_axis_tready);

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q[PtrBits-1:0]] <= '{s_axis_tlast, s_axis_tkeep, s_axis_tdata};
    if (pop) out_q <= memory[read_q[PtrBits-1:0]];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      commit_q <= '0;
      read_q <= '0;
      out_valid_q <= 1'b0;
    end else begin
      if (push && s_axis_tlast && s_axis_tuser) begin
        write_q <= commit_q;
      end else if (push) begin
        write_q <= write_q + 1'b1;
        if (s_axis_tlast) commit_q <= write_q + 1'b1;
      end
      if (pop) read_q <= read_q + 1'b1;
      out_valid_q <= pop || (out_valid_q && !m_axis_tready);
    end
  end

  assign m_axis_tvalid = out_valid_q;
  assign m_axis_tdata = out_q.data;
  assign m_axis_tkeep = out_q.keep;
  assign m_axis_tlast = out_q.last;

  // Properties. P1: never more beats inside than places. P2: what may be read is what was written.
  // P3: one packet alone does not fill it (else it would wait for itself).
  // P4: an offered beat stays until it is taken.
  logic  stalled_q;
  beat_t stalled_beat_q;

  always_ff @(posedge clk_i) begin
    stalled_q <= rst_ni && m_axis_tvalid && !m_axis_tready;
    stalled_beat_q <= out_q;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      p1_bounded : assert (write_q - read_q <= (PtrBits + 1)'(Depth));
      p2_order : assert (commit_q - read_q <= write_q - read_q);
      p3_fits : assert (!(full && commit_q == read_q && !out_valid_q));
      p4_stays : assert (!stalled_q || (m_axis_tvalid && out_q == stalled_beat_q));
      c1_full : cover (full && s_axis_tvalid);
      c2_forgotten : cover (push && s_axis_tlast && s_axis_tuser && write_q != commit_q);
      c3_wraps : cover (pop && read_q[PtrBits-1:0] == '1);
    end
  end

endmodule
