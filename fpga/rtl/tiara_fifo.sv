// SPDX-License-Identifier: Apache-2.0
// A queue of a few beats; what is in front shows at once. See fpga/doc/tiara_fifo.md.

module tiara_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  localparam int unsigned PlaceBits = $clog2(Depth)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               s_valid_i,
  output logic               s_ready_o,
  input  logic [Width-1:0]   s_data_i,
  output logic               m_valid_o,
  input  logic               m_ready_i,
  output logic [Width-1:0]   m_data_o,
  output logic [PlaceBits:0] used_o
);

  if (Depth < 2 || Depth != 2 ** PlaceBits) begin : gen_bad_depth
    $error("tiara_fifo: Depth is no power of two above 1");
  end

  logic [Width-1:0] store[Depth];
  logic [PlaceBits:0] head_q, tail_q;  // one bit more than a place: full and empty differ
  logic push, pop;

  assign used_o    = tail_q - head_q;
  assign s_ready_o = used_o != (PlaceBits + 1)'(Depth);
  assign m_valid_o = used_o != '0;
  assign m_data_o  = store[head_q[PlaceBits-1:0]];
  assign push      = s_valid_i && s_ready_o;
  assign pop       = m_valid_o && m_ready_i;

  always_ff @(posedge clk_i) begin
    if (push) store[tail_q[PlaceBits-1:0]] <= s_data_i;
    tail_q <= tail_q + (PlaceBits + 1)'(push);
    head_q <= head_q + (PlaceBits + 1)'(pop);
    if (!rst_ni) begin
      tail_q <= '0;
      head_q <= '0;
    end
  end

  // ---- properties

  logic past_q;
  logic waits_q;
  logic [Width-1:0] waiting_q;

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= m_valid_o && !m_ready_i;
    waiting_q <= m_data_o;
    if (past_q && rst_ni) begin
      // 1. Never more beats than places.
      p_1 : assert (used_o <= (PlaceBits + 1)'(Depth));
      // 2. A beat stays as it is until it is taken.
      p_2 : assert (!waits_q || (m_valid_o && m_data_o == waiting_q));
    end
    c_1 : cover (past_q && rst_ni && !s_ready_o && s_valid_i);
    c_2 : cover (past_q && rst_ni && tail_q[PlaceBits] && !m_valid_o);
  end

endmodule
