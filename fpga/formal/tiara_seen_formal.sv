// SPDX-License-Identifier: Apache-2.0
// tiara_seen: a slot that was used before a swap is in that harvest's report, one that was not is not, and a
// use beside or behind the swap is in the next one; a query knows of both banks.

module tiara_seen_formal (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       set_valid_i,
  input logic [1:0] set_slot_i,
  input logic       query_valid_i,
  input logic [1:0] query_slot_i,
  input logic       harvest_valid_i,
  input logic       harvest_swap_i,
  input logic       line_ready_i,
  input logic [1:0] mark_i
);

  // As in tiara_seen.
  localparam logic [2:0] StReset = 3'd0, StIdle = 3'd1, StClear = 3'd2, StSwap = 3'd3, StLook = 3'd5,
      StReport = 3'd6, StEnd = 3'd7;

  logic ready, query_ready, query_done, query_seen, harvest_ready, line_valid, line_end;
  logic [31:0] line_slot;
  logic [1:0] line_bits;

  tiara_seen #(.SlotBits(2), .PlaceBits(1)) u_dut (
    .clk_i, .rst_ni, .ready_o(ready), .set_valid_i, .set_slot_i(32'(set_slot_i)),
    .query_valid_i, .query_ready_o(query_ready), .query_slot_i(32'(query_slot_i)),
    .query_done_o(query_done), .query_seen_o(query_seen),
    .harvest_valid_i, .harvest_ready_o(harvest_ready), .harvest_swap_i,
    .line_valid_o(line_valid), .line_ready_i, .line_slot_o(line_slot), .line_bits_o(line_bits),
    .line_end_o(line_end)
  );

  // One slot: was it used since the last swap, and between the two before; has the report told of it?
  logic begun_q = 1'b0;
  logic now_q, before_q, told_q;
  logic [1:0] mark_q, query_q;
  logic used, clears, swaps, tells;

  assign used   = set_valid_i && ready && set_slot_i == mark_q;
  assign clears = u_dut.state_q == StClear && u_dut.line_q == mark_q[1];
  assign swaps  = u_dut.state_q == StClear && u_dut.last_line;
  assign tells  = line_valid && line_ready_i && !line_end && line_slot == {30'd0, mark_q[1], 1'b0}
      && line_bits[mark_q[0]];

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    query_q <= query_slot_i;
    if (!begun_q) mark_q <= mark_i;
    now_q <= (now_q || used) && !swaps;
    if (clears) before_q <= 1'b0;
    if (swaps) before_q <= now_q || used;
    told_q <= (told_q || tells) && !(harvest_valid_i && harvest_ready);
    if (!rst_ni) begin
      now_q    <= 1'b0;
      before_q <= 1'b0;
      told_q   <= 1'b0;
    end
  end

  // The slot's bits as they are stored, as they were read, and whether one is being set.
  logic [1:0] stored, read, setting;
  logic past, here;

  assign here = u_dut.set_line_q == mark_q[1];
  assign past = u_dut.line_q > mark_q[1];
  for (genvar g = 0; g < 2; g++) begin : gen_bank
    assign stored[g]  = u_dut.gen_bank[g].u_bits.store[mark_q[1]][mark_q[0]];
    assign read[g]    = u_dut.rd_data[g][mark_q[0]];
    assign setting[g] = u_dut.set_q && u_dut.set_bank_q == 1'(g) && here && u_dut.set_bit_q == mark_q[0];
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    if (begun_q && rst_ni) begin
      // 1. At its end a report has told of the slot exactly if it was used before the swap.
      p_1 : assert (!(line_valid && line_end) || told_q == before_q);
      // 2. Its line says so, too.
      p_2 : assert (u_dut.state_q != StReport || u_dut.line_q != mark_q[1] || line_bits[mark_q[0]] == before_q);
      // 3. A query finds what was used since the swap before the last, and nothing else.
      p_3 : assert (!query_done || query_q != mark_q || query_seen == (now_q || before_q));
      // 4. The end has no bits of its own to tell; lines before the slot's do not tell of it.
      p_4 : assert (!told_q || before_q || u_dut.state_q == StIdle || u_dut.state_q == StClear);
      // What is stored; without these the others are no inductive properties.
      i_1 : assert (u_dut.state_q == StReset || (stored[u_dut.bank_q] || setting[u_dut.bank_q]) == now_q);
      i_2 : assert (u_dut.state_q == StReset || (stored[!u_dut.bank_q] || setting[!u_dut.bank_q]) == before_q);
      i_3 : assert (!u_dut.set_q || u_dut.set_bank_q == u_dut.bank_q || u_dut.state_q == StSwap);
      i_4 : assert (!u_dut.set_q || !here || read[u_dut.set_bank_q] == stored[u_dut.set_bank_q]);
      i_5 : assert (!u_dut.query_q || !here || read == stored);
      i_6 : assert (u_dut.state_q != StLook || u_dut.line_q != mark_q[1] || read[!u_dut.bank_q] == before_q);
      i_7 : assert (u_dut.state_q != StReset
                    || (!u_dut.set_q && !u_dut.query_q && !now_q && !before_q && (!past || stored == '0)));
      i_8 : assert (u_dut.state_q != StClear || !past || !before_q);
      i_9 : assert (u_dut.state_q <= StSwap || u_dut.state_q == StEnd || told_q == (past && before_q));
      i_10 : assert (u_dut.state_q == StReset || u_dut.state_q == StClear || u_dut.state_q > StSwap
                     || u_dut.line_q == '0);
      i_11 : assert (u_dut.state_q != StEnd || u_dut.line_q == '0);
      i_12 : assert ((u_dut.state_q != StClear && u_dut.state_q != StSwap) || !told_q);
      i_13 : assert (!query_done || query_q == {u_dut.set_line_q, u_dut.set_bit_q});
      c_1 : cover (line_valid && line_end && told_q && now_q);
      c_2 : cover (used && swaps);
      c_3 : cover (u_dut.state_q == StSwap && setting[!u_dut.bank_q]);
      c_4 : cover (query_done && query_q == mark_q && !now_q && before_q);
    end
  end

endmodule
