// SPDX-License-Identifier: Apache-2.0
// Several streams of single beats into one, in turn. See fpga/doc/tiara_merge.md.

module tiara_merge #(
  parameter int unsigned Width = 8,
  parameter int unsigned Sources = 2,
  localparam int unsigned PickBits = (Sources > 1) ? $clog2(Sources) : 1
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic [Sources-1:0]            s_valid_i,
  output logic [Sources-1:0]            s_ready_o,
  input  logic [Sources-1:0][Width-1:0] s_data_i,
  output logic                          m_valid_o,
  input  logic                          m_ready_i,
  output logic [Width-1:0]              m_data_o
);

  if (Width == 0 || Sources == 0) begin : gen_bad_size
    $error("tiara_merge: Width or Sources is 0");
  end

  logic [PickBits-1:0] pick, last_q;

  // The nearest behind the last one wins.
  always_comb begin
    pick = last_q;
    for (int unsigned i = Sources; i > 0; i--) begin
      if (s_valid_i[PickBits'((32'(last_q) + i) % Sources)]) pick = PickBits'((32'(last_q) + i) % Sources);
    end
    s_ready_o = '0;
    s_ready_o[pick] = m_ready_i;
  end

  assign m_valid_o = |s_valid_i;
  assign m_data_o  = s_data_i[pick];

  always_ff @(posedge clk_i) begin
    if (m_valid_o && m_ready_i) last_q <= pick;
    if (!rst_ni) last_q <= '0;
  end

  // ---- properties

  logic past_q;
  logic [Sources-1:0] passed_q, waits_q;

  always_ff @(posedge clk_i) begin
    past_q   <= rst_ni;
    passed_q <= s_valid_i & s_ready_o;
    waits_q  <= s_valid_i & ~s_ready_o;
    if (rst_ni) begin
      // 1. One beat in is one beat out.
      p_1 : assert ($countones(s_valid_i & s_ready_o) == 32'(m_valid_o && m_ready_i));
      // 2. Nobody goes twice while another one waits.
      p_2 : assert (!past_q || waits_q == '0 || (passed_q & s_valid_i & s_ready_o) == '0);
    end
    c_1 : cover (past_q && rst_ni && (&s_valid_i) && m_ready_i);
    c_2 : cover (past_q && rst_ni && m_valid_o && !m_ready_i);
  end

endmodule
