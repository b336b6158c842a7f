// SPDX-License-Identifier: Apache-2.0
// tiara_id_pool: no number twice, none lost, whatever is given back in whatever order.

module tiara_id_pool_formal (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       take_ready_i,
  input logic       give_valid_i,
  input logic [2:0] give_id_i
);

  localparam int unsigned Ids = 5;

  logic take_valid;
  logic [2:0] take_id;
  logic [3:0] held;

  tiara_id_pool #(.Ids(Ids)) u_dut (
    .clk_i, .rst_ni, .take_valid_o(take_valid), .take_ready_i, .take_id_o(take_id),
    .give_valid_i, .give_id_i, .held_o(held)
  );

  // Who holds what.
  logic begun_q = 1'b0;
  logic [7:0] mine_q;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    if (take_valid && take_ready_i) mine_q[take_id] <= 1'b1;
    if (give_valid_i) mine_q[give_id_i] <= 1'b0;
    if (!rst_ni) mine_q <= '0;
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    // Who uses the pool gives back what he holds.
    a_give : assume (!give_valid_i || mine_q[give_id_i]);
    if (begun_q && rst_ni) begin
      // 1. What is handed out is a number of the pool that nobody holds.
      p_1 : assert (!take_valid || (take_id < 3'(Ids) && !mine_q[take_id]));
      // 2. Nothing is handed out only when all are held.
      p_2 : assert (take_valid || mine_q == 8'(2 ** Ids - 1));
      // 3. The pool knows what is held.
      p_3 : assert (mine_q == {3'b0, u_dut.held_q});
      c_1 : cover (!take_valid && give_valid_i && give_id_i == 3'd2);
      c_2 : cover (take_valid && take_id == 3'd2 && held == 4'd4);
    end
  end

endmodule
