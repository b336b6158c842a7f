// SPDX-License-Identifier: Apache-2.0
// Empties the card and counts its epoch (docs/design/0016, R8): see fpga/doc/tiara_restart.md.

module tiara_restart (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        reset_i,   // for one cycle
  input  logic        idle_i,    // nothing is inside that was taken in
  input  logic        clearing_i,  // from the cycle after clear_o until all is empty
  output logic        hold_o,    // take nothing in
  output logic        clear_o,   // for one cycle: empty yourself
  output logic        busy_o,
  output logic        ready_o,
  output logic        done_o,    // for one cycle
  output logic [15:0] epoch_o
);

  typedef enum logic [2:0] {
    StDown,   // since rst_ni: memory holds anything
    StDrain,  // until what was taken in has left
    StClear,  // clear_o
    StEmpty,  // until all is empty
    StReady
  } state_e;

  state_e state_d, state_q;
  logic [15:0] epoch_q;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StDown, StReady: if (reset_i) state_d = StDrain;
      StDrain: if (idle_i) state_d = StClear;
      StClear: state_d = StEmpty;
      StEmpty: if (!clearing_i) state_d = StReady;
      default: state_d = StDown;
    endcase
  end

  assign hold_o = state_q != StReady;
  assign clear_o = state_q == StClear;
  assign busy_o = state_q inside {StDrain, StClear, StEmpty};
  assign ready_o = state_q == StReady;
  assign done_o = state_q == StEmpty && !clearing_i;
  assign epoch_o = epoch_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StDown;
      epoch_q <= '0;
    end else begin
      state_q <= state_d;
      if (done_o) epoch_q <= epoch_q == '1 ? 16'd1 : epoch_q + 1'b1;
    end
  end

  // Properties

  logic sound_q, hold_q;

  always_ff @(posedge clk_i) begin
    sound_q <= rst_ni;
    hold_q <= hold_o;
    if (rst_ni && sound_q) begin
      // P1 At work only in an epoch.
      a_p1 : assert (!ready_o || epoch_q != '0);
      // P2 It empties nothing that may still be read.
      a_p2 : assert (!clear_o || hold_q);
      c_done : cover (done_o);
      c_wraps : cover (done_o && epoch_q == '1);
      c_waits : cover (state_q == StDrain && !idle_i);
    end
  end

endmodule
