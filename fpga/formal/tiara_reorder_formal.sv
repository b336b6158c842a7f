// SPDX-License-Identifier: Apache-2.0
// tiara_reorder: an entry that is marked when it goes in leaves as it was, behind exactly those that were
// before it, and not before both of its parts were answered.

module tiara_reorder_formal (
  input logic            clk_i,
  input logic            rst_ni,
  input logic            s_valid_i,
  input logic [2:0]      s_data_i,
  input logic            s_done_i,
  input logic [1:0]      done_valid_i,
  input logic [1:0][1:0] done_tag_i,
  input logic [1:0]      done_part_i,
  input logic            m_ready_i,
  input logic            mark_i
);

  logic s_ready, m_valid;
  logic [1:0] s_tag, m_tag;
  logic [2:0] m_data;

  tiara_reorder #(.Width(3), .Depth(4), .Parts(2), .Writers(2)) u_dut (
    .clk_i, .rst_ni, .s_valid_i, .s_ready_o(s_ready), .s_data_i, .s_done_i, .s_tag_o(s_tag),
    .done_valid_i, .done_tag_i, .done_part_i,
    .m_valid_o(m_valid), .m_ready_i, .m_data_o(m_data), .m_tag_o(m_tag)
  );

  logic push, pop;
  logic begun_q = 1'b0;
  logic [3:0][1:0] open_q;  // parts that somebody still answers, by tag
  logic [3:0] there, differs;
  logic marked_q, done_q;
  logic [2:0] mark_q, ahead_q;
  logic [1:0] tag_q, answered_q;

  assign push = s_valid_i && s_ready;
  assign pop  = m_valid && m_ready_i;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    for (int i = 0; i < 2; i++) begin
      if (done_valid_i[i]) begin
        open_q[done_tag_i[i]][done_part_i[i]] <= 1'b0;
        if (marked_q && done_tag_i[i] == tag_q) answered_q[done_part_i[i]] <= 1'b1;
      end
    end
    if (push) open_q[s_tag] <= {2{!s_done_i}};
    if (marked_q && pop) begin
      if (ahead_q == '0) marked_q <= 1'b0;
      ahead_q <= ahead_q - 3'd1;
    end
    if (!marked_q && mark_i && push) begin
      marked_q   <= 1'b1;
      mark_q     <= s_data_i;
      tag_q      <= s_tag;
      done_q     <= s_done_i;
      answered_q <= '0;
      ahead_q    <= u_dut.used - 3'(pop);
    end
    if (!rst_ni) begin
      marked_q <= 1'b0;
      open_q   <= '0;
    end
  end

  always_comb begin
    for (int i = 0; i < 4; i++) begin
      there[i]  = {1'b0, 2'(i) - m_tag} < u_dut.used;
      differs[i] = there[i] ? u_dut.done_q[i] != ~open_q[i] : open_q[i] != '0;
    end
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    // Each part is answered once, and only of what is inside.
    a_one : assume (!done_valid_i[0] || open_q[done_tag_i[0]][done_part_i[0]]);
    a_two : assume (!done_valid_i[1] || open_q[done_tag_i[1]][done_part_i[1]]);
    a_both : assume (done_valid_i != 2'b11
                     || {done_tag_i[0], done_part_i[0]} != {done_tag_i[1], done_part_i[1]});
    if (begun_q && rst_ni) begin
      // 1. The marked entry is inside, as it was.
      p_1 : assert (!marked_q || (ahead_q < u_dut.used && tag_q == m_tag + ahead_q[1:0]));
      p_2 : assert (!marked_q || u_dut.store[tag_q] == mark_q);
      // 3. It leaves as it was, when it and nothing before it is in front.
      p_3 : assert (!marked_q || !m_valid || ahead_q != '0 || (m_tag == tag_q && m_data == mark_q));
      // 4. It leaves neither before it was answered nor waits longer.
      p_4 : assert (!marked_q || ahead_q != '0 || m_valid == (done_q || &answered_q));
      // 5. What is answered is neither more nor less than what is not open; nothing else is open.
      p_5 : assert (differs == '0);
      p_6 : assert (!marked_q || u_dut.done_q[tag_q] == (done_q ? 2'b11 : answered_q));
      c_1 : cover (marked_q && ahead_q == 3'd3 && (&answered_q) && !done_q);
      c_2 : cover (marked_q && pop && ahead_q == '0 && !done_q);
      c_3 : cover (push && s_done_i && pop);
    end
  end

endmodule
