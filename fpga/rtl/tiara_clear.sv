// SPDX-License-Identifier: Apache-2.0
// Writes zeros over one memory port's part of the table: see fpga/doc/tiara_clear.md.

module tiara_clear #(
  parameter int unsigned Buckets     = 256,  // on this port, 64 bytes each, from address 0 on
  parameter int unsigned AddressBits = 33
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   start_i,  // for one cycle, while not busy
  output logic                   busy_o,

  output logic                   m_axi_awvalid,
  input  logic                   m_axi_awready,
  output logic [AddressBits-1:0] m_axi_awaddr,
  output logic [7:0]             m_axi_awlen,
  output logic                   m_axi_wvalid,
  input  logic                   m_axi_wready,
  output logic                   m_axi_wlast,
  input  logic                   m_axi_bvalid,
  output logic                   m_axi_bready
);

  localparam int unsigned BeatsMax = 16;
  localparam int unsigned BeatBytes = 32;
  localparam int unsigned Beats = 2 * Buckets < BeatsMax ? 2 * Buckets : BeatsMax;
  localparam int unsigned Bursts = 2 * Buckets / Beats;
  localparam int unsigned CntBits = $clog2(Bursts + 1);

  if (Buckets == 0 || (Buckets & (Buckets - 1)) != 0) begin : gen_buckets
    $error("Buckets must be a power of two");
  end
  if (AddressBits < $clog2(64 * Buckets)) begin : gen_address_bits
    $error("AddressBits cannot reach all Buckets");
  end

  localparam logic [CntBits-1:0] All = CntBits'(Bursts);

  // Bursts whose address, data, answer are through.
  logic [CntBits-1:0] aw_q, w_q, b_q;
  logic [3:0] beat_q;

  assign busy_o = b_q != All;
  assign m_axi_awvalid = aw_q != All;
  assign m_axi_awaddr = AddressBits'(aw_q) * AddressBits'(Beats * BeatBytes);
  assign m_axi_awlen = 8'(Beats - 1);
  assign m_axi_wvalid = w_q != aw_q;  // data follows its address
  assign m_axi_wlast = beat_q == 4'(Beats - 1);
  assign m_axi_bready = 1'b1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      aw_q <= All;
      w_q <= All;
      b_q <= All;
      beat_q <= '0;
    end else if (start_i) begin
      aw_q <= '0;
      w_q <= '0;
      b_q <= '0;
      beat_q <= '0;
    end else begin
      if (m_axi_awvalid && m_axi_awready) aw_q <= aw_q + 1'b1;
      if (m_axi_wvalid && m_axi_wready) begin
        beat_q <= m_axi_wlast ? '0 : beat_q + 1'b1;
        if (m_axi_wlast) w_q <= w_q + 1'b1;
      end
      if (m_axi_bvalid && busy_o) b_q <= b_q + 1'b1;
    end
  end

  // Properties

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      // P1 No answer before its data, no data before its address.
      a_p1 : assert (b_q <= w_q && w_q <= aw_q);
      // P2 It is started only when it has nothing left to do.
      a_p2 : assert (!start_i || !busy_o);
      c_cleared : cover (busy_o && b_q == All - 1'b1 && m_axi_bvalid);
    end
  end

endmodule
