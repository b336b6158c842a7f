// SPDX-License-Identifier: Apache-2.0
// tiara_skid: what goes in comes out, as it was and in its order, and a taker that never waits sees no gap.

module tiara_skid_formal (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       s_valid_i,
  input logic [3:0] s_data_i,
  input logic       m_ready_i
);

  logic s_ready, m_valid;
  logic [3:0] m_data;

  tiara_skid #(.Width(4)) u_dut (
    .clk_i, .rst_ni, .s_valid_i, .s_ready_o(s_ready), .s_data_i,
    .m_valid_o(m_valid), .m_ready_i, .m_data_o(m_data)
  );

  // A plain queue of two.
  logic begun_q = 1'b0;
  logic [1:0] cnt_q, cnt;
  logic [3:0] first_q, second_q, first;
  logic taken_q;

  assign cnt   = cnt_q - 2'(m_valid && m_ready_i);
  assign first = (m_valid && m_ready_i) ? second_q : first_q;

  always_ff @(posedge clk_i) begin
    begun_q  <= 1'b1;
    cnt_q    <= cnt + 2'(s_valid_i && s_ready);
    first_q  <= cnt == 2'd0 ? s_data_i : first;
    second_q <= s_ready ? s_data_i : second_q;
    taken_q  <= s_valid_i && s_ready;
    if (!rst_ni) begin
      cnt_q   <= '0;
      taken_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    if (begun_q && rst_ni) begin
      // 1. Something shows exactly when something is inside.
      p_1 : assert (m_valid == (cnt_q != 2'd0));
      // 2. It is the oldest that is inside.
      p_2 : assert (!m_valid || m_data == first_q);
      // 3. There is room for one more exactly when one or none is inside.
      p_3 : assert (cnt_q <= 2'd2 && s_ready == (cnt_q != 2'd2));
      // 4. What waits behind it.
      p_4 : assert (cnt_q != 2'd2 || u_dut.spare_q == second_q);
      // 5. What went in a cycle ago shows.
      p_5 : assert (!taken_q || m_valid);
      c_1 : cover (cnt_q == 2'd2 && m_ready_i && s_valid_i);
      c_2 : cover (taken_q && s_valid_i && s_ready && m_ready_i);
    end
  end

endmodule
