// SPDX-License-Identifier: Apache-2.0
// The card: packets, commands and registers in, memory beside it. See fpga/doc/tiara_card.md.

module tiara_card
  import tiara_card_pkg::*;
  import tiara_layout_pkg::*;
  import tiara_regs_pkg::*;
#(
  parameter int unsigned Ports        = 4,
  parameter int unsigned Outstanding  = 16,  // lookups' reads on each port
  parameter int unsigned BucketBits   = 10,
  parameter int unsigned ServiceLines = 64,
  parameter int unsigned BackendLines = 256,
  parameter int unsigned PacketBeats  = 512,  // of packets whose headers are inside
  localparam int unsigned IdBits      = (Outstanding > 1) ? $clog2(Outstanding) : 1,
  localparam int unsigned AddrBits    = BucketBits - $clog2(Ports) + 6
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  output logic                              idle_o,  // nothing is inside that was taken in

  input  logic                              s_axis_rx_tvalid,
  output logic                              s_axis_rx_tready,
  input  logic [StreamBits-1:0]             s_axis_rx_tdata,
  input  logic [StreamBytes-1:0]            s_axis_rx_tkeep,
  input  logic                              s_axis_rx_tlast,
  input  logic                              s_axis_rx_tuser,  // with tlast: the frame is bad

  output logic                              m_axis_tx_tvalid,
  input  logic                              m_axis_tx_tready,
  output logic [StreamBits-1:0]             m_axis_tx_tdata,
  output logic [StreamBytes-1:0]            m_axis_tx_tkeep,
  output logic                              m_axis_tx_tlast,

  output logic                              m_axis_cpu_tvalid,
  input  logic                              m_axis_cpu_tready,
  output logic [StreamBits-1:0]             m_axis_cpu_tdata,
  output logic [StreamBytes-1:0]            m_axis_cpu_tkeep,
  output logic                              m_axis_cpu_tlast,
  output tiara_card_meta_t                  m_axis_cpu_tuser,

  input  logic                              s_axis_cmd_tvalid,
  output logic                              s_axis_cmd_tready,
  input  tiara_card_command_t               s_axis_cmd_tdata,
  output logic                              m_axis_ans_tvalid,
  input  logic                              m_axis_ans_tready,
  output tiara_card_answer_t                m_axis_ans_tdata,

  input  logic                              s_axil_awvalid,
  output logic                              s_axil_awready,
  input  logic [RegAddressBits-1:0]         s_axil_awaddr,
  input  logic                              s_axil_wvalid,
  output logic                              s_axil_wready,
  input  logic [31:0]                       s_axil_wdata,
  input  logic [3:0]                        s_axil_wstrb,
  output logic                              s_axil_bvalid,
  input  logic                              s_axil_bready,
  output logic [1:0]                        s_axil_bresp,
  input  logic                              s_axil_arvalid,
  output logic                              s_axil_arready,
  input  logic [RegAddressBits-1:0]         s_axil_araddr,
  output logic                              s_axil_rvalid,
  input  logic                              s_axil_rready,
  output logic [31:0]                       s_axil_rdata,
  output logic [1:0]                        s_axil_rresp,

  output logic [Ports-1:0]                  m_axi_arvalid,
  input  logic [Ports-1:0]                  m_axi_arready,
  output logic [Ports-1:0][IdBits-1:0]      m_axi_arid,
  output logic [Ports-1:0][AddrBits-1:0]    m_axi_araddr,
  output logic [7:0]                        m_axi_arlen,  // these three of every port
  output logic [2:0]                        m_axi_arsize,
  output logic [1:0]                        m_axi_arburst,
  input  logic [Ports-1:0]                  m_axi_rvalid,
  output logic [Ports-1:0]                  m_axi_rready,
  input  logic [Ports-1:0][IdBits-1:0]      m_axi_rid,
  input  logic [Ports-1:0][255:0]           m_axi_rdata,
  input  logic [Ports-1:0][1:0]             m_axi_rresp,
  input  logic [Ports-1:0]                  m_axi_rlast,
  output logic [Ports-1:0]                  m_axi_awvalid,
  input  logic [Ports-1:0]                  m_axi_awready,
  output logic [Ports-1:0][AddrBits-1:0]    m_axi_awaddr,
  output logic [Ports-1:0][7:0]             m_axi_awlen,
  output logic [Ports-1:0]                  m_axi_wvalid,
  input  logic [Ports-1:0]                  m_axi_wready,
  output logic [Ports-1:0][255:0]           m_axi_wdata,
  output logic [Ports-1:0][31:0]            m_axi_wstrb,
  output logic [Ports-1:0]                  m_axi_wlast,
  input  logic [Ports-1:0]                  m_axi_bvalid,
  output logic [Ports-1:0]                  m_axi_bready
);
