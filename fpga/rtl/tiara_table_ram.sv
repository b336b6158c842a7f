// SPDX-License-Identifier: Apache-2.0
// A table on chip: one write port, one read port, all zero after a reset. Page:
// fpga/doc/tiara_table_ram.md.

module tiara_table_ram #(
  parameter int unsigned Lines = 1024,
  parameter int unsigned LineBits = 64,
  localparam int unsigned AddrBits = $clog2(Lines)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                ready_o,  // low while it clears itself; writes are lost then
  input  logic                write_i,
  input  logic [AddrBits-1:0] write_addr_i,
  input  logic [LineBits-1:0] write_line_i,
  input  logic                read_i,
  input  logic [AddrBits-1:0] read_addr_i,
  output logic [LineBits-1:0] read_line_o  // of the last read_i, from the next cycle on
);

  if (Lines < 2 || (Lines & (Lines - 1)) != 0) begin : gen_check_lines
    $error("Lines must be a power of two, at least 2");
  end

  logic [LineBits-1:0] memory[Lines];
  logic [LineBits-1:0] line_q;
  logic [AddrBits:0] clear_q;  // the next line to clear; the top bit: done

  assign ready_o = clear_q[AddrBits];
  assign read_line_o = line_q;

  logic                write;
  logic [AddrBits-1:0] write_addr;
  logic [LineBits-1:0] write_line;

  assign write = write_i || !ready_o;
  assign write_addr = ready_o ? write_addr_i : clear_q[AddrBits-1:0];
  assign write_line = ready_o ? write_line_i : '0;

  always_ff @(posedge clk_i) begin
    if (write) memory[write_addr] <= write_line;
    if (read_i) line_q <= memory[read_addr_i];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) clear_q <= '0;
    else if (!ready_o) clear_q <= clear_q + 1'b1;
  end

endmodule
