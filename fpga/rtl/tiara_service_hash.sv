// SPDX-License-Identifier: Apache-2.0
// Where a frontend may stand in the service table: CRC-32C (reflected, from 0, not inverted) of its seven
// bytes as they are on the wire: VIP, port, protocol. Its masks are what that polynomial makes of each
// bit; tests/fpga/test_rtl_front.py computes it the long way. Page: fpga/doc/tiara_classify.md.

module tiara_service_hash (
  input  logic [31:0] vip_i,
  input  logic [15:0] port_i,
  input  logic [ 7:0] protocol_i,
  output logic [31:0] hash_o
);

  logic [55:0] match;
  assign match = {protocol_i, port_i, vip_i};

  assign hash_o[0] = ^(match & 56'h1f91caf6386f2c);
  assign hash_o[1] = ^(match & 56'h3f2395ec70de58);
  assign hash_o[2] = ^(match & 56'h7e472bd8e1bcb0);
  assign hash_o[3] = ^(match & 56'hfc8e57b1c37961);
  assign hash_o[4] = ^(match & 56'he68d6595be9dee);
  assign hash_o[5] = ^(match & 56'hd28b01dd4554f0);
  assign hash_o[6] = ^(match & 56'hba87c94cb2c6cd);
  assign hash_o[7] = ^(match & 56'h6a9e586f5de2b7);
  assign hash_o[8] = ^(match & 56'hd53cb0debbc56e);
  assign hash_o[9] = ^(match & 56'hb5e8ab4b4fe5f0);
  assign hash_o[10] = ^(match & 56'h74409c60a7a4cd);
  assign hash_o[11] = ^(match & 56'he88138c14f499b);
  assign hash_o[12] = ^(match & 56'hce93bb74a6fc1a);
  assign hash_o[13] = ^(match & 56'h82b6bc1f759719);
  assign hash_o[14] = ^(match & 56'h1afcb2c8d3411e);
  assign hash_o[15] = ^(match & 56'h35f96591a6823c);
  assign hash_o[16] = ^(match & 56'h6bf2cb234d0479);
  assign hash_o[17] = ^(match & 56'hd7e596469a08f3);
  assign hash_o[18] = ^(match & 56'hb05ae67b0c7eca);
  assign hash_o[19] = ^(match & 56'h7f2406002092b8);
  assign hash_o[20] = ^(match & 56'hfe480c00412570);
  assign hash_o[21] = ^(match & 56'he301d2f6ba25cc);
  assign hash_o[22] = ^(match & 56'hd9926f1b4c24b4);
  assign hash_o[23] = ^(match & 56'hacb514c0a02644);
  assign hash_o[24] = ^(match & 56'h46fbe3777823a4);
  assign hash_o[25] = ^(match & 56'h8df7c6eef04748);
  assign hash_o[26] = ^(match & 56'h047e472bd8e1bc);
  assign hash_o[27] = ^(match & 56'h08fc8e57b1c379);
  assign hash_o[28] = ^(match & 56'h11f91caf6386f2);
  assign hash_o[29] = ^(match & 56'h23f2395ec70de5);
  assign hash_o[30] = ^(match & 56'h47e472bd8e1bcb);
  assign hash_o[31] = ^(match & 56'h8fc8e57b1c3796);

endmodule
