// SPDX-License-Identifier: Apache-2.0
// tiara_fifo: a beat that is marked when it goes in comes out as it was, behind as many as were before it.

module tiara_fifo_formal (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       s_valid_i,
  input logic [3:0] s_data_i,
  input logic       m_ready_i,
  input logic       mark_i
);

  logic s_ready, m_valid;
  logic [3:0] m_data;
  logic [2:0] used;

  tiara_fifo #(.Width(4), .Depth(4)) u_dut (
    .clk_i, .rst_ni, .s_valid_i, .s_ready_o(s_ready), .s_data_i,
    .m_valid_o(m_valid), .m_ready_i, .m_data_o(m_data), .used_o(used)
  );

  logic begun_q = 1'b0;
  logic marked_q;
  logic [3:0] mark_q;
  logic [2:0] ahead_q;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    if (marked_q && m_valid && m_ready_i) begin
      if (ahead_q == '0) marked_q <= 1'b0;
      ahead_q <= ahead_q - 3'd1;
    end
    if (!marked_q && mark_i && s_valid_i && s_ready) begin
      marked_q <= 1'b1;
      mark_q   <= s_data_i;
      ahead_q  <= used - 3'(m_valid && m_ready_i);
    end
    if (!rst_ni) marked_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    if (begun_q && rst_ni) begin
      // 1. It is inside until it comes out.
      p_1 : assert (!marked_q || ahead_q < used);
      // 2. It comes out as it was.
      p_2 : assert (!marked_q || ahead_q != '0 || m_data == mark_q);
      // 3. It is what it was inside, too; without this 2 is no inductive property.
      p_3 : assert (!marked_q || u_dut.store[u_dut.head_q[1:0] + ahead_q[1:0]] == mark_q);
      c_1 : cover (marked_q && ahead_q == 3'd3);
      c_2 : cover (marked_q && ahead_q == '0 && m_ready_i);
    end
  end

endmodule
