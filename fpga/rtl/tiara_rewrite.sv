// SPDX-License-Identifier: Apache-2.0
// Packets on their way: to the backend with the bytes that dataplane/path would send, or up to the CPU as
// they came. Page: fpga/doc/tiara_rewrite.md.

module tiara_rewrite
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned BackendLines = 4096,
  localparam int unsigned LineBits = $clog2(BackendLines)
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  // The backend table.
  output logic                                backend_ready_o,
  input  logic                                backend_write_i,
  input  logic                 [LineBits-1:0] backend_line_i,
  input  tiara_card_backend_t                 backend_i,
  input  logic                                result_valid_i,
  output logic                                result_ready_o,
  input  tiara_card_result_t                  result_i,
  input  logic                                s_axis_packet_tvalid,
  output logic                                s_axis_packet_tready,
  input  logic               [StreamBits-1:0] s_axis_packet_tdata,
  input  logic              [StreamBytes-1:0] s_axis_packet_tkeep,
  input  logic                                s_axis_packet_tlast,
  output logic                                m_axis_tx_tvalid,
  input  logic                                m_axis_tx_tready,
  output logic               [StreamBits-1:0] m_axis_tx_tdata,
  output logic              [StreamBytes-1:0] m_axis_tx_tkeep,
  output logic                                m_axis_tx_tlast,
  output logic                                m_axis_cpu_tvalid,
  input  logic                                m_axis_cpu_tready,
  output logic               [StreamBits-1:0] m_axis_cpu_tdata,
  output logic              [StreamBytes-1:0] m_axis_cpu_tkeep,
  output logic                                m_axis_cpu_tlast,
  output tiara_card_meta_t                    m_axis_cpu_tuser,
  output logic                                forwarded_valid_o,
  output tiara_card_forwarded_t               forwarded_o
);

  logic job_valid, job_ready;
  tiara_card_job_t job;

  tiara_rewrite_plan #(
    .BackendLines(BackendLines)
  ) u_plan (
    .clk_i,
    .rst_ni,
    .backend_ready_o,
    .backend_write_i,
    .backend_line_i,
    .backend_i,
    .result_valid_i,
    .result_ready_o,
    .result_i,
    .job_valid_o(job_valid),
    .job_ready_i(job_ready),
    .job_o(job)
  );

  tiara_rewrite_stream u_stream (
    .clk_i,
    .rst_ni,
    .job_valid_i(job_valid),
    .job_ready_o(job_ready),
    .job_i(job),
    .s_axis_packet_tvalid,
    .s_axis_packet_tready,
    .s_axis_packet_tdata,
    .s_axis_packet_tkeep,
    .s_axis_packet_tlast,
    .m_axis_tx_tvalid,
    .m_axis_tx_tready,
    .m_axis_tx_tdata,
    .m_axis_tx_tkeep,
    .m_axis_tx_tlast,
    .m_axis_cpu_tvalid,
    .m_axis_cpu_tready,
    .m_axis_cpu_tdata,
    .m_axis_cpu_tkeep,
    .m_axis_cpu_tlast,
    .m_axis_cpu_tuser,
    .forwarded_valid_o,
    .forwarded_o
  );

endmodule
