// SPDX-License-Identifier: Apache-2.0
// The card's own counters: see fpga/doc/tiara_counters.md.

module tiara_counters
  import tiara_regs_pkg::*;
#(
  parameter int unsigned StepBits = 16
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic [CounterCnt-1:0][StepBits-1:0] step_i,  // what is added in this cycle
  input  tiara_counter_e                     counter_i,
  output logic [63:0]                        counter_o
);

  if (StepBits == 0 || StepBits > 64) begin : gen_step_bits
    $error("StepBits must be 1 to 64");
  end

  logic [63:0] counter_q [CounterCnt];

  for (genvar i = 0; i < CounterCnt; i++) begin : gen_counter
    always_ff @(posedge clk_i) begin
      if (!rst_ni) counter_q[i] <= '0;
      else counter_q[i] <= counter_q[i] + 64'(step_i[i]);
    end
  end

  assign counter_o = 32'(counter_i) < CounterCnt ? counter_q[counter_i] : '0;

  // Properties

  logic [63:0] pkts_q;
  logic        sound_q;

  always_ff @(posedge clk_i) begin
    sound_q <= rst_ni;
    pkts_q <= counter_q[CounterRxPkts];
    // P1 Counters only grow.
    if (rst_ni && sound_q) a_p1 : assert (counter_q[CounterRxPkts] >= pkts_q);
    if (rst_ni) c_counts : cover (|step_i);
  end

endmodule
