// SPDX-License-Identifier: Apache-2.0
// One stream of packets through the card, a network port's: in, looked up, and out or up to the CPU. See
// fpga/doc/tiara_pipe.md.

module tiara_pipe
  import tiara_card_pkg::*;
  import tiara_layout_pkg::*;
#(
  parameter int unsigned Ports        = 4,
  parameter int unsigned Outstanding  = 16,
  parameter int unsigned BucketBits   = 10,
  parameter int unsigned ServiceLines = 64,
  parameter int unsigned BackendLines = 256,
  parameter int unsigned PacketBeats  = 512,
  parameter int unsigned CpuBeats     = 1024,
  parameter bit          HitFault     = 1'b0,
  localparam int unsigned IdBits      = (Outstanding > 1) ? $clog2(Outstanding) : 1,
  localparam int unsigned AddrBits    = BucketBits - $clog2(Ports) + 6
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              core_rst_ni,  // empties it; rst_ni alone breaks no stream
  input  logic                              hold_i,  // take no packet
  input  logic                              lookup_i,  // memory may be read; else all misses
  output logic                              tables_ready_o,  // both are empty after core_rst_ni
  output logic                              idle_o,  // nothing is inside that was taken in
  output tiara_card_steps_t                 steps_o,

  input  tiara_card_identity_t              identity_i,
  input  logic [126:0]                      secret_i,
  input  logic                              service_write_i,
  input  tiara_card_service_t               service_i,
  input  logic                              backend_write_i,
  input  tiara_card_backend_t               backend_i,
  input  logic [31:0]                       line_idx_i,

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

  // What was forwarded, told once it has left.
  output logic                              forwarded_valid_o,
  input  logic                              forwarded_ready_i,
  output tiara_card_forwarded_t             forwarded_o,
  // How many lookups have begun, and how many packets have left and are told of, both modulo 2^16.
  output logic [15:0]                       begun_o,
  output logic [15:0]                       ended_o,

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
  input  logic [Ports-1:0]                  m_axi_rlast
);

  localparam int unsigned ServiceBits = $clog2(ServiceLines);
  localparam int unsigned BackendBits = $clog2(BackendLines);
  localparam int unsigned LookupDepth = 4 * Outstanding;
  localparam int unsigned MaxBeats    = 152;  // of a frame

  logic rx_open, rx_tvalid, rx_tready, dropped;
  logic parsed_tvalid, parsed_tready, parsed_tlast, parsed_tuser;
  logic [StreamBits-1:0] parsed_tdata;
  logic [StreamBytes-1:0] parsed_tkeep;
  logic packet_tvalid, packet_tready, packet_tlast;
  logic [StreamBits-1:0] packet_tdata;
  logic [StreamBytes-1:0] packet_tkeep;
  logic headers_valid, headers_ready, request_valid, request_ready, result_valid, result_ready;
  logic service_ready, backend_ready, forwarded_valid, planned_valid, planned_ready;
  logic [15:0] taken;
  tiara_card_headers_t headers;
  tiara_card_request_t request;
  tiara_card_result_t result;
  tiara_card_forwarded_t forwarded;

  tiara_gate u_rx_gate (
    .clk_i,
    .rst_ni,
    .hold_i,
    .open_o    (rx_open),
    .s_tvalid_i(s_axis_rx_tvalid),
    .s_tready_o(s_axis_rx_tready),
    .s_tlast_i (s_axis_rx_tlast),
    .m_tvalid_o(rx_tvalid),
    .m_tready_i(rx_tready)
  );

  tiara_parser #(
    .MaxBeats(MaxBeats)
  ) u_parser (
    .clk_i,
    .rst_ni              (core_rst_ni),
    .identity_i,
    .s_axis_rx_tvalid    (rx_tvalid),
    .s_axis_rx_tready    (rx_tready),
    .s_axis_rx_tdata     (s_axis_rx_tdata),
    .s_axis_rx_tkeep     (s_axis_rx_tkeep),
    .s_axis_rx_tlast     (s_axis_rx_tlast),
    .s_axis_rx_tuser     (s_axis_rx_tuser),
    .m_axis_packet_tvalid(parsed_tvalid),
    .m_axis_packet_tready(parsed_tready),
    .m_axis_packet_tdata (parsed_tdata),
    .m_axis_packet_tkeep (parsed_tkeep),
    .m_axis_packet_tlast (parsed_tlast),
    .m_axis_packet_tuser (parsed_tuser),
    .headers_valid_o     (headers_valid),
    .headers_ready_i     (headers_ready),
    .headers_o           (headers),
    .dropped_o           (dropped)
  );

  tiara_packet_fifo #(
    .Depth(PacketBeats)
  ) u_packets (
    .clk_i,
    .rst_ni       (core_rst_ni),
    .s_axis_tvalid(parsed_tvalid),
    .s_axis_tready(parsed_tready),
    .s_axis_tdata (parsed_tdata),
    .s_axis_tkeep (parsed_tkeep),
    .s_axis_tlast (parsed_tlast),
    .s_axis_tuser (parsed_tuser),
    .m_axis_tvalid(packet_tvalid),
    .m_axis_tready(packet_tready),
    .m_axis_tdata (packet_tdata),
    .m_axis_tkeep (packet_tkeep),
    .m_axis_tlast (packet_tlast)
  );

  tiara_classify #(
    .ServiceLines(ServiceLines),
    .BucketBits  (BucketBits)
  ) u_classify (
    .clk_i,
    .rst_ni         (core_rst_ni),
    .secret_i,
    .service_ready_o(service_ready),
    .service_write_i,
    .service_line_i (ServiceBits'(line_idx_i)),
    .service_i,
    .headers_valid_i(headers_valid),
    .headers_ready_o(headers_ready),
    .headers_i      (headers),
    .request_valid_o(request_valid),
    .request_ready_i(request_ready),
    .request_o      (request)
  );

  tiara_lookup #(
    .Ports      (Ports),
    .Outstanding(Outstanding),
    .BucketBits (BucketBits),
    .Depth      (LookupDepth)
  ) u_lookup (
    .clk_i,
    .rst_ni       (core_rst_ni),
    .enable_i     (lookup_i),
    .s_valid_i    (request_valid),
    .s_ready_o    (request_ready),
    .s_request_i  (request),
    .m_valid_o    (result_valid),
    .m_ready_i    (result_ready),
    .m_result_o   (result),
    .begun_o,
    .ended_o      (taken),
    .m_axi_arvalid,
    .m_axi_arready,
    .m_axi_araddr,
    .m_axi_arid,
    .m_axi_arlen,
    .m_axi_arsize,
    .m_axi_arburst,
    .m_axi_rvalid,
    .m_axi_rready,
    .m_axi_rdata,
    .m_axi_rid,
    .m_axi_rresp,
    .m_axi_rlast
  );

  typedef struct packed {
    tiara_card_meta_t       tuser;
    logic [StreamBytes-1:0] tkeep;
    logic [StreamBits-1:0]  tdata;
  } up_t;

  tiara_card_result_t planned;
  logic up_tvalid, up_tlast, up_dropped;
  up_t up, cpu;

  always_comb begin
    planned = result;
    if (HitFault) planned.backend_line[0] = !result.backend_line[0];
  end

  tiara_rewrite #(
    .BackendLines(BackendLines)
  ) u_rewrite (
    .clk_i,
    .rst_ni              (core_rst_ni),
    .backend_ready_o     (backend_ready),
    .backend_write_i,
    .backend_line_i      (BackendBits'(line_idx_i)),
    .backend_i,
    .result_valid_i      (planned_valid),
    .result_ready_o      (planned_ready),
    .result_i            (planned),
    .s_axis_packet_tvalid(packet_tvalid),
    .s_axis_packet_tready(packet_tready),
    .s_axis_packet_tdata (packet_tdata),
    .s_axis_packet_tkeep (packet_tkeep),
    .s_axis_packet_tlast (packet_tlast),
    .m_axis_tx_tvalid,
    .m_axis_tx_tready,
    .m_axis_tx_tdata,
    .m_axis_tx_tkeep,
    .m_axis_tx_tlast,
    .m_axis_cpu_tvalid   (up_tvalid),
    .m_axis_cpu_tready   (1'b1),
    .m_axis_cpu_tdata    (up.tdata),
    .m_axis_cpu_tkeep    (up.tkeep),
    .m_axis_cpu_tlast    (up_tlast),
    .m_axis_cpu_tuser    (up.tuser),
    .forwarded_valid_o   (forwarded_valid),
    .forwarded_o         (forwarded)
  );

  tiara_drop_fifo #(
    .Width   ($bits(up_t)),
    .Depth   (CpuBeats),
    .MaxBeats(MaxBeats)
  ) u_cpu (
    .clk_i,
    .rst_ni   (core_rst_ni),
    .s_valid_i(up_tvalid),
    .s_last_i (up_tlast),
    .s_data_i (up),
    .dropped_o(up_dropped),
    .m_valid_o(m_axis_cpu_tvalid),
    .m_ready_i(m_axis_cpu_tready),
    .m_last_o (m_axis_cpu_tlast),
    .m_data_o (cpu)
  );

  assign m_axis_cpu_tuser = cpu.tuser;
  assign m_axis_cpu_tkeep = cpu.tkeep;
  assign m_axis_cpu_tdata = cpu.tdata;
  assign tables_ready_o   = service_ready && backend_ready;

  // ---- packets that have left tiara_rewrite, in their order, until their use is told

  typedef struct packed {
    logic                  sent;  // forwarded; else handed up, and there is nothing to tell
    tiara_card_forwarded_t forwarded;
  } ended_t;

  localparam int unsigned EndedBits = 4;
  localparam int unsigned Late = 6;  // results that tiara_rewrite has taken and not ended yet, at most
  ended_t last, first;
  logic rx_ends, tx_ends, up_ends, cpu_ends, ends, ended_room, open, first_valid, first_ready;
  logic [EndedBits:0] ended_cnt;
  logic [EndedBits:0] gone_q;  // forwarded packets whose last beat was taken and that are not told of

  assign rx_ends  = s_axis_rx_tvalid && s_axis_rx_tready && s_axis_rx_tlast;
  assign tx_ends  = m_axis_tx_tvalid && m_axis_tx_tready && m_axis_tx_tlast;
  assign up_ends  = up_tvalid && up_tlast;
  assign cpu_ends = m_axis_cpu_tvalid && m_axis_cpu_tready && m_axis_cpu_tlast;
  assign ends     = forwarded_valid || up_ends;
  assign last     = '{sent: forwarded_valid, forwarded: forwarded};

  tiara_fifo #(
    .Width($bits(ended_t)),
    .Depth(2 ** EndedBits)
  ) u_ended (
    .clk_i,
    .rst_ni   (core_rst_ni),
    .s_valid_i(ends),
    .s_ready_o(ended_room),
    .s_data_i (last),
    .m_valid_o(first_valid),
    .m_ready_i(first_ready),
    .m_data_o (first),
    .used_o   (ended_cnt)
  );

  // Nobody waits for room there: who has none takes no result.
  assign open          = ended_cnt <= (EndedBits + 1)'(2 ** EndedBits - Late);
  assign planned_valid = result_valid && open;
  assign result_ready  = planned_ready && open;

  assign forwarded_valid_o = first_valid && first.sent && gone_q != '0;
  assign forwarded_o       = first.forwarded;
  assign first_ready       = first.sent ? gone_q != '0 && forwarded_ready_i : 1'b1;

  logic told;
  logic [15:0] inside_q;

  assign told = forwarded_valid_o && forwarded_ready_i;

  always_ff @(posedge clk_i) begin
    gone_q   <= gone_q + (EndedBits + 1)'(tx_ends) - (EndedBits + 1)'(told);
    ended_o  <= ended_o + 16'(first_valid && first_ready);
    inside_q <= inside_q + 16'(rx_ends) - 16'(dropped) - 16'(tx_ends) - 16'(cpu_ends) - 16'(up_dropped);
    if (!core_rst_ni) begin
      gone_q   <= '0;
      ended_o  <= '0;
      inside_q <= '0;
    end
  end

  assign idle_o = inside_q == '0 && !rx_open && !first_valid;

  // ---- what is counted

  function automatic logic [6:0] bytes(logic taken_beat, logic [StreamBytes-1:0] keep);
    return taken_beat ? 7'($countones(keep)) : '0;
  endfunction

  assign steps_o = '{
    rx: rx_ends,
    tx: tx_ends,
    cpu: cpu_ends,
    bad: dropped,
    cpu_dropped: up_dropped,
    rx_bytes: bytes(s_axis_rx_tvalid && s_axis_rx_tready, s_axis_rx_tkeep),
    tx_bytes: bytes(m_axis_tx_tvalid && m_axis_tx_tready, m_axis_tx_tkeep),
    cpu_bytes: bytes(m_axis_cpu_tvalid && m_axis_cpu_tready, m_axis_cpu_tkeep)
  };

  logic unused;
  assign unused = ^{taken, line_idx_i};

  // ---- properties

  logic sound_q;

  always_ff @(posedge clk_i) begin
    sound_q <= core_rst_ni;
    if (core_rst_ni && sound_q) begin
      // 1. As many packets leave as come in.
      p_1 : assert (!inside_q[15] || rx_open);
      // 2. Nothing is forwarded while a table it needs is not there.
      p_2 : assert (!forwarded_valid || tables_ready_o);
      // 3. What has left always finds a place.
      p_3 : assert (!ends || ended_room);
      // 4. No more packets are gone than are told of, or wait to be.
      p_4 : assert (gone_q <= ended_cnt);
      c_1 : cover (result_valid && planned_ready && !open);
      c_2 : cover (tx_ends && cpu_ends);
      c_3 : cover (first_valid && first.sent && gone_q == '0);
    end
  end

endmodule
