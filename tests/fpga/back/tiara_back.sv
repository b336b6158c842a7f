// SPDX-License-Identifier: Apache-2.0
// For tests: the lookup, the command sequencer, the banks and a table of totals as the card joins them.

module tiara_back
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned Ports = 4,
  parameter int unsigned Outstanding = 6,
  parameter int unsigned BucketBits = 6,
  parameter int unsigned Depth = 32,
  parameter int unsigned PortShift = 12,
  localparam int unsigned IdBits = $clog2(Outstanding),
  localparam int unsigned AddrBits = BucketBits - $clog2(Ports) + 6,
  localparam int unsigned CommandAddrBits = PortShift + $clog2(Ports)
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic [15:0]                    epoch_i,
  output logic                           ready_o,
  output logic                           dropped_o,
  output logic                           error_o,
  input  logic                           request_valid_i,
  output logic                           request_ready_o,
  input  logic [63:0]                    request_key_i,
  input  logic [31:0]                    request_bucket_1_i,
  input  logic [31:0]                    request_bucket_2_i,
  input  logic [7:0]                     request_reason_i,
  input  logic [31:0]                    request_name_i,
  output logic                           result_valid_o,
  input  logic                           result_ready_i,
  output logic                           result_hit_o,
  output logic [7:0]                     result_reason_o,
  output logic [31:0]                    result_slot_o,
  output logic [31:0]                    result_line_o,
  output logic [31:0]                    result_name_o,
  output logic [127:0]                   result_key_o,
  input  logic                           cmd_valid_i,
  output logic                           cmd_ready_o,
  input  logic [255:0]                   cmd_data_i,
  output logic                           ans_valid_o,
  input  logic                           ans_ready_i,
  output logic [255:0]                   ans_data_o,
  input  logic                           total_valid_i,
  output logic                           total_ready_o,
  input  logic [3:0]                     total_idx_i,
  output logic                           total_done_o,
  output logic [63:0]                    total_pkts_o,
  output logic [63:0]                    total_bytes_o,
  output logic [Ports-1:0]               arvalid_o,
  input  logic [Ports-1:0]               arready_i,
  output logic [Ports-1:0][AddrBits-1:0] araddr_o,
  output logic [Ports-1:0][IdBits-1:0]   arid_o,
  output logic [7:0]                     arlen_o,
  output logic [2:0]                     arsize_o,
  output logic [1:0]                     arburst_o,
  input  logic [Ports-1:0]               rvalid_i,
  output logic [Ports-1:0]               rready_o,
  input  logic [Ports-1:0][255:0]        rdata_i,
  input  logic [Ports-1:0][IdBits-1:0]   rid_i,
  input  logic [Ports-1:0][1:0]          rresp_i,
  input  logic [Ports-1:0]               rlast_i,
  output logic                           c_awvalid_o,
  input  logic                           c_awready_i,
  output logic [CommandAddrBits-1:0]     c_awaddr_o,
  output logic [7:0]                     c_awlen_o,
  output logic                           c_wvalid_o,
  input  logic                           c_wready_i,
  output logic [255:0]                   c_wdata_o,
  output logic [31:0]                    c_wstrb_o,
  output logic                           c_wlast_o,
  input  logic                           c_bvalid_i,
  output logic                           c_bready_o,
  input  logic [1:0]                     c_bresp_i,
  output logic                           c_arvalid_o,
  input  logic                           c_arready_i,
  output logic [CommandAddrBits-1:0]     c_araddr_o,
  input  logic                           c_rvalid_i,
  output logic                           c_rready_o,
  input  logic [255:0]                   c_rdata_i,
  input  logic [1:0]                     c_rresp_i
);

  tiara_card_request_t request;
  tiara_card_result_t result;
  logic [15:0] begun, ended;
  logic forwarded, empty, clear, sums;
  logic query_valid, query_ready, query_done, query_seen;
  logic harvest_valid, harvest_ready, harvest_swap;
  logic line_valid, line_ready, line_end;
  logic [31:0] query_slot, line_slot;
  logic [127:0] line_bits;

  always_comb begin
    request                     = '0;
    request.reason              = tiara_card_reason_e'(request_reason_i);
    request.bucket_1            = request_bucket_1_i;
    request.bucket_2            = request_bucket_2_i;
    request.key                 = request_key_i;
    request.hash                = ~request_key_i;
    request.headers.client_addr = request_name_i;
  end

  assign result_hit_o    = result.hit;
  assign result_reason_o = result.reason;
  assign result_slot_o   = result.slot;
  assign result_line_o   = result.backend_line;
  assign result_name_o   = result.headers.client_addr;
  assign result_key_o    = {result.hash, result.key};
  assign forwarded       = result_valid_o && result_ready_i && result.hit;
  assign ready_o         = empty && clear && sums;

  tiara_lookup #(
    .Ports      (Ports),
    .Outstanding(Outstanding),
    .BucketBits (BucketBits),
    .Depth      (Depth)
  ) u_lookup (
    .clk_i,
    .rst_ni,
    .enable_i     (ready_o),
    .s_valid_i    (request_valid_i),
    .s_ready_o    (request_ready_o),
    .s_request_i  (request),
    .m_valid_o    (result_valid_o),
    .m_ready_i    (result_ready_i),
    .m_result_o   (result),
    .begun_o      (begun),
    .ended_o      (ended),
    .m_axi_arvalid(arvalid_o),
    .m_axi_arready(arready_i),
    .m_axi_araddr (araddr_o),
    .m_axi_arid   (arid_o),
    .m_axi_arlen  (arlen_o),
    .m_axi_arsize (arsize_o),
    .m_axi_arburst(arburst_o),
    .m_axi_rvalid (rvalid_i),
    .m_axi_rready (rready_o),
    .m_axi_rdata  (rdata_i),
    .m_axi_rid    (rid_i),
    .m_axi_rresp  (rresp_i),
    .m_axi_rlast  (rlast_i)
  );

  tiara_command #(
    .Ports     (Ports),
    .BucketBits(BucketBits),
    .PortShift (PortShift)
  ) u_command (
    .clk_i,
    .rst_ni,
    .epoch_i,
    .ready_o          (empty),
    .dropped_o,
    .error_o,
    .s_axis_cmd_tvalid(cmd_valid_i),
    .s_axis_cmd_tready(cmd_ready_o),
    .s_axis_cmd_tdata (cmd_data_i),
    .m_axis_ans_tvalid(ans_valid_o),
    .m_axis_ans_tready(ans_ready_i),
    .m_axis_ans_tdata (ans_data_o),
    .begun_i          (begun),
    .ended_i          (ended),
    .query_valid_o    (query_valid),
    .query_ready_i    (query_ready),
    .query_slot_o     (query_slot),
    .query_done_i     (query_done),
    .query_seen_i     (query_seen),
    .harvest_valid_o  (harvest_valid),
    .harvest_ready_i  (harvest_ready),
    .harvest_swap_o   (harvest_swap),
    .line_valid_i     (line_valid),
    .line_ready_o     (line_ready),
    .line_slot_i      (line_slot),
    .line_bits_i      (line_bits),
    .line_end_i       (line_end),
    .m_axi_awvalid    (c_awvalid_o),
    .m_axi_awready    (c_awready_i),
    .m_axi_awaddr     (c_awaddr_o),
    .m_axi_awlen      (c_awlen_o),
    .m_axi_wvalid     (c_wvalid_o),
    .m_axi_wready     (c_wready_i),
    .m_axi_wdata      (c_wdata_o),
    .m_axi_wstrb      (c_wstrb_o),
    .m_axi_wlast      (c_wlast_o),
    .m_axi_bvalid     (c_bvalid_i),
    .m_axi_bready     (c_bready_o),
    .m_axi_bresp      (c_bresp_i),
    .m_axi_arvalid    (c_arvalid_o),
    .m_axi_arready    (c_arready_i),
    .m_axi_araddr     (c_araddr_o),
    .m_axi_rvalid     (c_rvalid_i),
    .m_axi_rready     (c_rready_o),
    .m_axi_rdata      (c_rdata_i),
    .m_axi_rresp      (c_rresp_i)
  );

  tiara_seen #(
    .SlotBits(BucketBits + 2)
  ) u_seen (
    .clk_i,
    .rst_ni,
    .ready_o        (clear),
    .set_valid_i    (forwarded),
    .set_slot_i     (result.slot),
    .query_valid_i  (query_valid),
    .query_ready_o  (query_ready),
    .query_slot_i   (query_slot),
    .query_done_o   (query_done),
    .query_seen_o   (query_seen),
    .harvest_valid_i(harvest_valid),
    .harvest_ready_o(harvest_ready),
    .harvest_swap_i (harvest_swap),
    .line_valid_o   (line_valid),
    .line_ready_i   (line_ready),
    .line_slot_o    (line_slot),
    .line_bits_o    (line_bits),
    .line_end_o     (line_end)
  );

  tiara_totals #(
    .IndexBits(4)
  ) u_totals (
    .clk_i,
    .rst_ni,
    .ready_o     (sums),
    .add_valid_i (forwarded),
    .add_idx_i   (result.backend_line[3:0]),
    .add_bytes_i (result_name_o[15:0]),
    .read_valid_i(total_valid_i),
    .read_ready_o(total_ready_o),
    .read_idx_i  (total_idx_i),
    .read_done_o (total_done_o),
    .read_pkts_o (total_pkts_o),
    .read_bytes_o(total_bytes_o)
  );

endmodule
