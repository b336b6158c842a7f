// SPDX-License-Identifier: Apache-2.0
// The front of the card for its tests: all of docs/design/0017 from tiara_parser to tiara_rewrite, with a
// stand-in for the lookup. That finds every connection but those whose client port ends in 15 (of its low
// four bits), in the line of the backend table that these bits number.

module tiara_front
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned MaxBeats = 24,
  parameter int unsigned FifoDepth = 64,
  parameter int unsigned ServiceLines = 64,
  parameter int unsigned BackendLines = 8
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  // tiara_hash alone
  input  logic [126:0] hash_secret_i,
  input  logic [ 63:0] hash_key_i,
  output logic [ 63:0] hash_o,
  // registers and tables, as vectors
  input  logic [127:0] identity_i,
  input  logic [126:0] secret_i,
  output logic         tables_ready_o,
  input  logic         service_write_i,
  input  logic [  5:0] service_line_i,
  input  logic [127:0] service_i,
  input  logic         backend_write_i,
  input  logic [  2:0] backend_line_i,
  input  logic [511:0] backend_i,
  // streams
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
  // what else there is to see
  input  logic         lookup_stall_i,
  output logic         request_taken_o,
  output logic [$bits(tiara_card_request_t)-1:0] request_o,
  output logic         forwarded_valid_o,
  output logic [ 95:0] forwarded_o,
  output logic         dropped_o
);

  logic packet_tvalid, packet_tready, packet_tlast, packet_tuser;
  logic [511:0] packet_tdata;
  logic [63:0] packet_tkeep;
  logic waited_tvalid, waited_tready, waited_tlast;
  logic [511:0] waited_tdata;
  logic [63:0] waited_tkeep;
  logic headers_valid, headers_ready, request_valid, request_ready, result_ready;
  logic service_ready, backend_ready;
  tiara_card_headers_t headers;
  tiara_card_request_t request;

  tiara_hash u_hash (
    .clk_i,
    .en_i(1'b1),
    .secret_i(hash_secret_i),
    .key_i(hash_key_i),
    .hash_o
  );

  tiara_parser #(
    .MaxBeats(MaxBeats)
  ) u_parser (
    .clk_i,
    .rst_ni,
    .identity_i(tiara_card_identity_t'(identity_i)),
    .s_axis_rx_tvalid,
    .s_axis_rx_tready,
    .s_axis_rx_tdata,
    .s_axis_rx_tkeep,
    .s_axis_rx_tlast,
    .s_axis_rx_tuser,
    .m_axis_packet_tvalid(packet_tvalid),
    .m_axis_packet_tready(packet_tready),
    .m_axis_packet_tdata(packet_tdata),
    .m_axis_packet_tkeep(packet_tkeep),
    .m_axis_packet_tlast(packet_tlast),
    .m_axis_packet_tuser(packet_tuser),
    .headers_valid_o(headers_valid),
    .headers_ready_i(headers_ready),
    .headers_o(headers),
    .dropped_o
  );

  tiara_packet_fifo #(
    .Depth(FifoDepth)
  ) u_packets (
    .clk_i,
    .rst_ni,
    .s_axis_tvalid(packet_tvalid),
    .s_axis_tready(packet_tready),
    .s_axis_tdata(packet_tdata),
    .s_axis_tkeep(packet_tkeep),
    .s_axis_tlast(packet_tlast),
    .s_axis_tuser(packet_tuser),
    .m_axis_tvalid(waited_tvalid),
    .m_axis_tready(waited_tready),
    .m_axis_tdata(waited_tdata),
    .m_axis_tkeep(waited_tkeep),
    .m_axis_tlast(waited_tlast)
  );

  tiara_classify #(
    .ServiceLines(ServiceLines),
    .BucketBits(8)
  ) u_classify (
    .clk_i,
    .rst_ni,
    .secret_i,
    .service_ready_o(service_ready),
    .service_write_i,
    .service_line_i,
    .service_i(tiara_card_service_t'(service_i)),
    .headers_valid_i(headers_valid),
    .headers_ready_o(headers_ready),
    .headers_i(headers),
    .request_valid_o(request_valid),
    .request_ready_i(request_ready),
    .request_o(request)
  );

  // ---- instead of tiara_lookup
  tiara_card_result_t result, result_q;
  logic result_valid_q;
  logic [3:0] line;

  assign request_o = request;
  assign request_ready = (!result_valid_q || result_ready) && !lookup_stall_i;
  assign request_taken_o = request_valid && request_ready;
  assign line = request.headers.client_port[11:8];
  assign result = '{
          hit: request.reason == CardReasonNone && line != '1,
          reason: request.reason == CardReasonNone && line == '1 ? CardReasonMiss : request.reason,
          slot: request.bucket_1 << 2 | 32'd1,
          backend_line: 32'(line),
          hash: request.hash,
          key: request.key,
          headers: request.headers
      };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) result_valid_q <= 1'b0;
    else result_valid_q <= request_taken_o || (result_valid_q && !result_ready);
    if (request_taken_o) result_q <= result;
  end

  tiara_rewrite #(
    .BackendLines(BackendLines)
  ) u_rewrite (
    .clk_i,
    .rst_ni,
    .backend_ready_o(backend_ready),
    .backend_write_i,
    .backend_line_i,
    .backend_i(tiara_card_backend_t'(backend_i)),
    .result_valid_i(result_valid_q),
    .result_ready_o(result_ready),
    .result_i(result_q),
    .s_axis_packet_tvalid(waited_tvalid),
    .s_axis_packet_tready(waited_tready),
    .s_axis_packet_tdata(waited_tdata),
    .s_axis_packet_tkeep(waited_tkeep),
    .s_axis_packet_tlast(waited_tlast),
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

  assign tables_ready_o = service_ready && backend_ready;

endmodule
