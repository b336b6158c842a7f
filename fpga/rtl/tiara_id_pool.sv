// SPDX-License-Identifier: Apache-2.0
// Hands out numbers that nobody holds, the lowest first. See fpga/doc/tiara_id_pool.md.

module tiara_id_pool #(
  parameter int unsigned Ids = 16,
  localparam int unsigned IdBits = (Ids > 1) ? $clog2(Ids) : 1
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  output logic              take_valid_o,
  input  logic              take_ready_i,
  output logic [IdBits-1:0] take_id_o,
  input  logic              give_valid_i,
  input  logic [IdBits-1:0] give_id_i,
  output logic [IdBits:0]   held_o
);

  if (Ids == 0 || Ids > 64) begin : gen_bad_ids
    $error("tiara_id_pool: Ids is not within 1 and 64");
  end

  logic [Ids-1:0] held_q, held_d, lowest;
  logic take;

  assign lowest = ~held_q & (held_q + Ids'(1));  // the lowest zero
  assign take_valid_o = !(&held_q);
  assign take = take_valid_o && take_ready_i;

  always_comb begin
    take_id_o = '0;
    for (int unsigned i = 0; i < Ids; i++) begin
      if (lowest[i]) take_id_o = take_id_o | IdBits'(i);
    end
    held_d = held_q | (take ? lowest : '0);
    for (int unsigned i = 0; i < Ids; i++) begin
      if (give_valid_i && give_id_i == IdBits'(i)) held_d[i] = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    held_q <= held_d;
    held_o <= held_o + (IdBits + 1)'(take) - (IdBits + 1)'(give_valid_i);
    if (!rst_ni) begin
      held_q <= '0;
      held_o <= '0;
    end
  end

  // ---- properties

  logic past_q;
  logic [IdBits:0] cnt;

  always_comb begin
    cnt = '0;
    for (int unsigned i = 0; i < Ids; i++) cnt = cnt + (IdBits + 1)'(held_q[i]);
  end

  always_ff @(posedge clk_i) begin
    past_q <= rst_ni;
    if (past_q && rst_ni) begin
      // 1. What is handed out nobody holds.
      p_1 : assert (!take_valid_o || !held_q[take_id_o]);
      // 2. The count is how many are held.
      p_2 : assert (held_o == cnt);
      // 3. What is given back was held: a rule for who uses the pool.
      p_3 : assert (!give_valid_i || held_q[give_id_i]);
    end
    c_1 : cover (past_q && rst_ni && !take_valid_o);
    c_2 : cover (past_q && rst_ni && take && give_valid_i);
  end

endmodule
