// SPDX-License-Identifier: Apache-2.0
// A block memory with one port to read and one to write; what is written in the cycle of the read is what
// the read finds. See fpga/doc/tiara_ram.md.

module tiara_ram #(
  parameter int unsigned Width = 8,
  parameter int unsigned AddrBits = 4
) (
  input  logic                clk_i,
  input  logic [AddrBits-1:0] rd_addr_i,
  output logic [Width-1:0]    rd_data_o,  // a cycle after rd_addr_i
  input  logic                wr_valid_i,
  input  logic [AddrBits-1:0] wr_addr_i,
  input  logic [Width-1:0]    wr_data_i
);

  if (Width == 0 || AddrBits == 0) begin : gen_bad_size
    $error("tiara_ram: Width or AddrBits is 0");
  end

  logic [Width-1:0] store[2**AddrBits];
  logic [Width-1:0] old_q, new_q;
  logic same_q;

  always_ff @(posedge clk_i) begin
    old_q  <= store[rd_addr_i];
    new_q  <= wr_data_i;
    same_q <= wr_valid_i && wr_addr_i == rd_addr_i;
    if (wr_valid_i) store[wr_addr_i] <= wr_data_i;
  end

  assign rd_data_o = same_q ? new_q : old_q;

endmodule
