// SPDX-License-Identifier: Apache-2.0
// The whole card as small as it gets, its structs as plain vectors: tests/fpga/card_bench.py moves its pins.

module tiara_small (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         idle_o,
  // frames
  input  logic         s_axis_rx_tvalid,
  output logic         s_axis_rx_tready,
  input  logic [511:0] s_axis_rx_tdata,
  input  logic [ 63:0] s_axis_rx_tkeep,
  input  logic         s_axis_rx_tlast,
  input  logic         s_axis_rx_tuser,
  output logic         m_axis_tx_tvalid,
  input  logic         m_axis_tx_tready,
  output logic [511:0] m_axis_tx_tdata,
  output logic [ 63:0] m_axis_tx_tkeep,
  output logic         m_axis_tx_tlast,
  output logic         m_axis_cpu_tvalid,
  input  logic         m_axis_cpu_tready,
  output logic [511:0] m_axis_cpu_tdata,
  output logic [ 63:0] m_axis_cpu_tkeep,
  output logic         m_axis_cpu_tlast,
  output logic [255:0] m_axis_cpu_tuser,
  // commands
  input  logic         s_axis_cmd_tvalid,
  output logic         s_axis_cmd_tready,
  input  logic [255:0] s_axis_cmd_tdata,
  output logic         m_axis_ans_tvalid,
  input  logic         m_axis_ans_tready,
  output logic [255:0] m_axis_ans_tdata,
  // registers
  input  logic         s_axil_awvalid,
  output logic         s_axil_awready,
  input  logic [ 11:0] s_axil_awaddr,
  input  logic         s_axil_wvalid,
  output logic         s_axil_wready,
  input  logic [ 31:0] s_axil_wdata,
  input  logic [  3:0] s_axil_wstrb,
  output logic         s_axil_bvalid,
  input  logic         s_axil_bready,
  output logic [  1:0] s_axil_bresp,
  input  logic         s_axil_arvalid,
  output logic         s_axil_arready,
  input  logic [ 11:0] s_axil_araddr,
  output logic         s_axil_rvalid,
  input  logic         s_axil_rready,
  output logic [ 31:0] s_axil_rdata,
  output logic [  1:0] s_axil_rresp,
  // memory: two ports of lookups, side by side
  output logic [  1:0] m_axi_arvalid,
  input  logic [  1:0] m_axi_arready,
  output logic [  3:0] m_axi_arid,
  output logic [ 21:0] m_axi_araddr,
  input  logic [  1:0] m_axi_rvalid,
  output logic [  1:0] m_axi_rready,
  input  logic [  3:0] m_axi_rid,
  input  logic [511:0] m_axi_rdata,
  input  logic [  3:0] m_axi_rresp,
  input  logic [  1:0] m_axi_rlast,
  // memory: commands
  output logic         m_axi_cmd_awvalid,
  input  logic         m_axi_cmd_awready,
  output logic [ 11:0] m_axi_cmd_awaddr,
  output logic [  7:0] m_axi_cmd_awlen,
  output logic         m_axi_cmd_wvalid,
  input  logic         m_axi_cmd_wready,
  output logic [255:0] m_axi_cmd_wdata,
  output logic [ 31:0] m_axi_cmd_wstrb,
  output logic         m_axi_cmd_wlast,
  input  logic         m_axi_cmd_bvalid,
  output logic         m_axi_cmd_bready,
  input  logic [  1:0] m_axi_cmd_bresp,
  output logic         m_axi_cmd_arvalid,
  input  logic         m_axi_cmd_arready,
  output logic [ 11:0] m_axi_cmd_araddr,
  input  logic         m_axi_cmd_rvalid,
  output logic         m_axi_cmd_rready,
  input  logic [255:0] m_axi_cmd_rdata,
  input  logic [  1:0] m_axi_cmd_rresp
);

  tiara_card #(
    .Ports       (2),
    .Outstanding (4),
    .BucketBits  (6),
    .ServiceLines(4),
    .BackendLines(4),
    .PacketBeats (256),
    .CpuBeats    (256)
  ) u_card (
    .m_axi_arlen  (),  // always two beats of 32 bytes
    .m_axi_arsize (),
    .m_axi_arburst(),
    .*
  );

endmodule
