// SPDX-License-Identifier: Apache-2.0
// tiara_drop_fifo: a beat that is kept comes out as it was, behind as many as were before it; a packet is
// kept or dropped in one piece, and none is dropped that has room.

module tiara_drop_fifo_formal (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       s_valid_i,
  input logic       s_last_i,
  input logic [2:0] s_data_i,
  input logic       m_ready_i,
  input logic       mark_i
);

  localparam int unsigned Depth    = 4;
  localparam int unsigned MaxBeats = 2;

  logic m_valid, m_last, dropped;
  logic [2:0] m_data;

  tiara_drop_fifo #(.Width(3), .Depth(Depth), .MaxBeats(MaxBeats)) u_dut (
    .clk_i, .rst_ni, .s_valid_i, .s_last_i, .s_data_i, .dropped_o(dropped),
    .m_valid_o(m_valid), .m_ready_i, .m_last_o(m_last), .m_data_o(m_data)
  );

  logic begun_q = 1'b0;
  logic middle_q, kept_q;  // a packet is half in, and its first beat was kept
  logic marked_q, kept, leaves;
  logic [2:0] held, ahead_q;
  logic [3:0] mark_q;

  assign held = u_dut.used + 3'(u_dut.out_valid_q);
  assign kept   = s_valid_i && u_dut.keep;
  assign leaves = m_valid && m_ready_i;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    if (s_valid_i) begin
      middle_q <= !s_last_i;
      kept_q   <= kept;
    end
    if (marked_q && leaves) begin
      if (ahead_q == '0) marked_q <= 1'b0;
      ahead_q <= ahead_q - 3'd1;
    end
    // What comes while nothing is inside and the taker is there is out already (5).
    if (!marked_q && mark_i && kept && !(held == '0 && m_ready_i)) begin
      marked_q <= 1'b1;
      mark_q   <= {s_last_i, s_data_i};
      ahead_q  <= held - 3'(leaves);
    end
    if (!rst_ni) begin
      marked_q <= 1'b0;
      middle_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    // A packet of at most MaxBeats.
    a_length : assume (!s_valid_i || !middle_q || s_last_i);
    if (begun_q && rst_ni) begin
      // 1. It is inside until it comes out.
      p_1 : assert (!marked_q || ahead_q < held);
      // 2. It comes out as it was.
      p_2 : assert (!marked_q || ahead_q != '0 || (m_valid && {m_last, m_data} == mark_q));
      // 3. What its first beat was, a packet is: kept or dropped.
      p_3 : assert (!s_valid_i || !middle_q || kept == kept_q);
      // 4. What is dropped found no room for the longest packet.
      p_4 : assert (!s_valid_i || middle_q || kept || 32'(u_dut.used) > Depth - MaxBeats);
      // 5. While nothing is inside, what comes in shows at once.
      p_5 : assert (held != '0 || (m_valid == kept && (!kept || {m_last, m_data} == {s_last_i, s_data_i})));
      p_6 : assert (dropped == (s_valid_i && s_last_i && !kept));
      // What it is inside, and what the states mean; without these the others are no inductive properties.
      i_1 : assert (!marked_q || ahead_q != '0
                    || (u_dut.out_stored_q ? u_dut.stored_q : u_dut.passed_q) == mark_q);
      i_2 : assert (!marked_q || ahead_q == '0
                    || u_dut.store[u_dut.head_q[1:0] + ahead_q[1:0] - 2'd1] == mark_q);
      i_3 : assert (u_dut.middle_q == middle_q && (!middle_q || u_dut.keep_q == kept_q));
      i_4 : assert (u_dut.used == '0 || u_dut.out_valid_q);
      i_5 : assert (!middle_q || !kept_q || u_dut.used <= 3'(Depth - MaxBeats + 1));
      i_6 : assert (u_dut.used <= 3'(Depth) && 32'(u_dut.beats_q) == 32'(middle_q));
      c_1 : cover (marked_q && ahead_q == 3'd4);
      c_2 : cover (marked_q && ahead_q == '0 && leaves && u_dut.out_stored_q);
      c_3 : cover (dropped && !middle_q);
      c_4 : cover (dropped && middle_q && leaves);
      c_5 : cover (held == '0 && kept && m_ready_i && middle_q);
    end
  end

endmodule
