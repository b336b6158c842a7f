// SPDX-License-Identifier: Apache-2.0
// The keyed hash of docs/design/0003: Toeplitz of the key as XOR trees, then the fold's three rounds.
// One key a cycle, Latency cycles with en_i later its hash. Page: fpga/doc/tiara_hash.md.

module tiara_hash (
  input  logic         clk_i,
  input  logic         en_i,
  input  logic [126:0] secret_i,
  input  logic [63:0]  key_i,
  output logic [63:0]  hash_o
);

  localparam int unsigned Groups = 8;
  localparam int unsigned GroupBits = 64 / Groups;

  // What one round adds to the other half.
  function automatic logic [31:0] half_round(logic [31:0] x);
    return ({x[30:0], x[31]} & {x[23:0], x[31:24]}) ^ {x[29:0], x[31:30]};
  endfunction

  // Stage 1: what each group of eight key bits adds.
  logic [63:0] part_d[Groups], part_q[Groups];
  // Stage 2: Toeplitz.
  logic [63:0] toeplitz_d, toeplitz_q;
  // Stages 3 to 5: the fold's rounds.
  logic [31:0] lo_3_q, hi_3_q, lo_4_q, hi_4_q, lo_5_q, hi_5_q;

  // Each key bit j that is set adds the 64 bits of the secret from 63 - j on.
  for (genvar g = 0; g < Groups; g++) begin : gen_group
    always_comb begin
      part_d[g] = '0;
      for (int unsigned j = g * GroupBits; j < (g + 1) * GroupBits; j++) begin
        part_d[g] ^= {64{key_i[j]}} & secret_i[63-j+:64];
      end
    end
    always_ff @(posedge clk_i) begin
      if (en_i) part_q[g] <= part_d[g];
    end
  end

  always_comb begin
    toeplitz_d = '0;
    for (int unsigned g = 0; g < Groups; g++) toeplitz_d ^= part_q[g];
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      toeplitz_q <= toeplitz_d;
      lo_3_q <= toeplitz_q[31:0];
      hi_3_q <= toeplitz_q[63:32] ^ half_round(toeplitz_q[31:0]);
      lo_4_q <= lo_3_q ^ half_round(hi_3_q);
      hi_4_q <= hi_3_q;
      lo_5_q <= lo_4_q;
      hi_5_q <= hi_4_q ^ half_round(lo_4_q);
    end
  end

  assign hash_o = {hi_5_q, lo_5_q};

endmodule
