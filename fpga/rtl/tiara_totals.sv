// SPDX-License-Identifier: Apache-2.0
// Packets and bytes by index; they only grow, a reset empties them. See fpga/doc/tiara_totals.md.

module tiara_totals #(
  parameter int unsigned IndexBits = 12
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  output logic                 ready_o,  // all are 0 after reset
  // A packet; never waits. Before ready_o it is not counted.
  input  logic                 add_valid_i,
  input  logic [IndexBits-1:0] add_idx_i,
  input  logic [15:0]          add_bytes_i,
  // What there is; waits for a cycle without a packet.
  input  logic                 read_valid_i,
  output logic                 read_ready_o,
  input  logic [IndexBits-1:0] read_idx_i,
  output logic                 read_done_o,
  output logic [63:0]          read_pkts_o,
  output logic [63:0]          read_bytes_o
);

  if (IndexBits == 0) begin : gen_bad_index
    $error("tiara_totals: IndexBits is 0");
  end

  typedef struct packed {
    logic [63:0] bytes;
    logic [63:0] pkts;
  } total_t;

  logic [IndexBits:0] clear_q;  // the next one to clear; the first bit: all are
  logic add_q, read_q;
  logic [IndexBits-1:0] idx, idx_q;
  logic [15:0] bytes_q;
  total_t now, more;

  assign ready_o      = clear_q[IndexBits];
  assign read_ready_o = ready_o && !add_valid_i;
  assign idx          = add_valid_i ? add_idx_i : read_idx_i;
  assign more         = '{bytes: now.bytes + 64'(bytes_q), pkts: now.pkts + 64'd1};

  tiara_ram #(
    .Width   ($bits(total_t)),
    .AddrBits(IndexBits)
  ) u_totals (
    .clk_i,
    .rd_addr_i (idx),
    .rd_data_o (now),
    .wr_valid_i(!ready_o || add_q),
    .wr_addr_i (ready_o ? idx_q : clear_q[IndexBits-1:0]),
    .wr_data_i (ready_o ? more : '0)
  );

  always_ff @(posedge clk_i) begin
    add_q   <= add_valid_i && ready_o;
    read_q  <= read_valid_i && read_ready_o;
    idx_q   <= idx;
    bytes_q <= add_bytes_i;
    if (!ready_o) clear_q <= clear_q + (IndexBits + 1)'(1);
    if (!rst_ni) begin
      add_q   <= 1'b0;
      read_q  <= 1'b0;
      clear_q <= '0;
    end
  end

  assign read_done_o  = read_q;
  assign read_pkts_o  = now.pkts;
  assign read_bytes_o = now.bytes;

  // ---- properties

  logic past_q;

  always_ff @(posedge clk_i) begin
    past_q <= rst_ni;
    if (past_q && rst_ni) begin
      // 1. A cycle counts a packet or answers, never both.
      p_1 : assert (!(add_q && read_q));
      // 2. Nothing is counted or answered before all are 0.
      p_2 : assert (ready_o || !(add_q || read_q));
      // 3. They only grow.
      p_3 : assert (!add_q || more.pkts > now.pkts || (&now.pkts));
    end
    c_1 : cover (past_q && rst_ni && add_q && add_valid_i && add_idx_i == idx_q);
    c_2 : cover (past_q && rst_ni && read_valid_i && add_valid_i);
  end

endmodule
