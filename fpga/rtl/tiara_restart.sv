// SPDX-License-Identifier: Apache-2.0
// Empties the card and counts its epoch (docs/design/0016, R8): see fpga/doc/tiara_restart.md.

module tiara_restart (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        reset_i,         // for one cycle
  input  logic        idle_i,          // nothing is inside that was taken in
  input  logic        tables_empty_i,  // all on chip
  input  logic        memory_empty_i,  // connections
  output logic        hold_o,          // take nothing in
  output logic        core_rst_no,     // empty yourself
  output logic        busy_o,
  output logic        ready_o,
  output logic        done_o,          // for one cycle
  output logic [15:0] epoch_o
);

  typedef enum logic [2:0] {
    StDown,    // since rst_ni: tables and memory hold anything
    StDrain,   // until what was taken in has left
    StClear,   // all modules are reset
    StTables,  // until what is on chip is empty
    StMemory,  // until memory is; packets go up meanwhile
    StReady
  } state_e;

  state_e state_d, state_q;
  logic [15:0] epoch_q;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StDown: if (reset_i) state_d = StClear;
      StDrain: if (idle_i) state_d = StClear;
      StClear: state_d = StTables;
      StTables: if (tables_empty_i) state_d = StMemory;
      StMemory: if (memory_empty_i) state_d = StReady;
      StReady: if (reset_i) state_d = StDrain;
      default: state_d = StDown;
    endcase
  end

  assign hold_o = !(state_q inside {StMemory, StReady});
  assign core_rst_no = rst_ni && !(state_q inside {StDown, StClear});
  assign busy_o = state_q inside {StDrain, StClear, StTables, StMemory};
  assign ready_o = state_q == StReady;
  assign done_o = state_q == StMemory && memory_empty_i;
  assign epoch_o = epoch_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StDown;
      epoch_q <= '0;
    end else begin
      state_q <= state_d;
      if (state_d == StClear) epoch_q <= epoch_q == '1 ? 16'd1 : epoch_q + 1'b1;
    end
  end

  // ---- properties

  logic sound_q, ready_q;
  logic [15:0] before_q;

  always_ff @(posedge clk_i) begin
    sound_q <= rst_ni;
    ready_q <= ready_o;
    before_q <= epoch_q;
    if (rst_ni && sound_q) begin
      // 1. At work only in an epoch.
      p_1 : assert (hold_o || epoch_q != '0);
      // 2. An epoch begins only in reset: whoever is not in reset never sees it change.
      p_2 : assert (epoch_q == before_q || state_q == StClear);
      // 3. Nothing is emptied that is not held.
      p_3 : assert (core_rst_no || hold_o);
      c_1 : cover (done_o);
      c_2 : cover (state_q == StDrain && !idle_i);
      c_3 : cover (ready_o && !ready_q);
    end
  end

endmodule
