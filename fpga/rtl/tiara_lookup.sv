// SPDX-License-Identifier: Apache-2.0
// Finds keys in the connection table: both buckets of each, over several AXI4 ports, results in the order
// of the requests. See fpga/doc/tiara_lookup.md.

module tiara_lookup
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned Ports = 16,
  parameter int unsigned Outstanding = 64,  // IDs of a port
  parameter int unsigned BucketBits = 22,
  parameter int unsigned Depth = 512,  // requests inside
  localparam int unsigned PortBits = (Ports > 1) ? $clog2(Ports) : 1,
  localparam int unsigned IdBits = (Outstanding > 1) ? $clog2(Outstanding) : 1,
  localparam int unsigned AddrBits = BucketBits - $clog2(Ports) + 6
) (
  input  logic                            clk_i,
  input  logic                            rst_ni,
  input  logic                            enable_i,  // without: everything is a miss, nothing is read
  input  logic                            s_valid_i,
  output logic                            s_ready_o,
  input  tiara_card_request_t             s_request_i,
  output logic                            m_valid_o,
  input  logic                            m_ready_i,
  output tiara_card_result_t              m_result_o,
  // How many requests have begun to read and how many results were taken, both modulo 2^16.
  output logic [15:0]                     begun_o,
  output logic [15:0]                     ended_o,
  // AXI4 read ports: two beats of 32 bytes each.
  output logic [Ports-1:0]                m_axi_arvalid,
  input  logic [Ports-1:0]                m_axi_arready,
  output logic [Ports-1:0][AddrBits-1:0]  m_axi_araddr,
  output logic [Ports-1:0][IdBits-1:0]    m_axi_arid,
  output logic [7:0]                      m_axi_arlen,
  output logic [2:0]                      m_axi_arsize,
  output logic [1:0]                      m_axi_arburst,
  input  logic [Ports-1:0]                m_axi_rvalid,
  output logic [Ports-1:0]                m_axi_rready,
  input  logic [Ports-1:0][255:0]         m_axi_rdata,
  input  logic [Ports-1:0][IdBits-1:0]    m_axi_rid,
  input  logic [Ports-1:0][1:0]           m_axi_rresp,
  input  logic [Ports-1:0]                m_axi_rlast
);

  localparam int unsigned TagBits = $clog2(Depth);

  if (Ports == 0 || Ports != 2 ** $clog2(Ports)) begin : gen_bad_ports
    $error("tiara_lookup: Ports is no power of two");
  end
  if (Outstanding == 0 || Outstanding > 64) begin : gen_bad_outstanding
    $error("tiara_lookup: Outstanding is not within 1 and 64");
  end
  if (BucketBits <= $clog2(Ports) || BucketBits > 30) begin : gen_bad_buckets
    $error("tiara_lookup: BucketBits leaves no bucket to a port, or slots of more than 32 bits");
  end

  assign m_axi_arlen   = 8'd1;
  assign m_axi_arsize  = 3'd5;
  assign m_axi_arburst = 2'd1;

  function automatic logic [PortBits-1:0] port_of(logic [31:0] bucket);
    return PortBits'(bucket & 32'(Ports - 1));
  endfunction

  function automatic logic [AddrBits-1:0] addr_of(logic [31:0] bucket);
    return AddrBits'((bucket >> $clog2(Ports)) << 6);
  endfunction

  // ---- requests come in and go to their ports

  tiara_card_request_t request, front;
  logic request_valid, request_ready, begins, reads;
  logic order_ready, front_valid, front_ready;
  logic [TagBits-1:0] tag, front_tag;
  logic [Ports-1:0][1:0] read_valid, read_ready;
  logic [1:0][AddrBits-1:0] read_addr;

  tiara_skid #(
    .Width($bits(tiara_card_request_t))
  ) u_in (
    .clk_i,
    .rst_ni,
    .s_valid_i(s_valid_i),
    .s_ready_o(s_ready_o),
    .s_data_i (s_request_i),
    .m_valid_o(request_valid),
    .m_ready_i(request_ready),
    .m_data_o (request)
  );

  assign reads = request.reason == CardReasonNone && enable_i;
  assign request_ready = order_ready && (!reads ||
      (read_ready[port_of(request.bucket_1)][0] && read_ready[port_of(request.bucket_2)][1]));
  assign begins = request_valid && request_ready;
  assign read_addr = {addr_of(request.bucket_2), addr_of(request.bucket_1)};

  always_comb begin
    read_valid = '0;
    read_valid[port_of(request.bucket_1)][0] = begins && reads;
    read_valid[port_of(request.bucket_2)][1] = begins && reads;
  end

  // ---- the order

  logic [Ports-1:0] done_valid;
  logic [Ports-1:0][TagBits-1:0] done_tag;
  logic [Ports-1:0][0:0] done_part;
  logic front_read;

  tiara_reorder #(
    .Width  ($bits(tiara_card_request_t) + 1),
    .Depth  (Depth),
    .Parts  (2),
    .Writers(Ports)
  ) u_order (
    .clk_i,
    .rst_ni,
    .s_valid_i   (begins),
    .s_ready_o   (order_ready),
    .s_data_i    ({reads, request}),
    .s_done_i    (!reads),
    .s_tag_o     (tag),
    .done_valid_i(done_valid),
    .done_tag_i  (done_tag),
    .done_part_i (done_part),
    .m_valid_o   (front_valid),
    .m_ready_i   (front_ready),
    .m_data_o    ({front_read, front}),
    .m_tag_o     (front_tag)
  );

  // ---- the ports

  logic [Ports-1:0][1:0] found_hit;
  logic [Ports-1:0][1:0][1:0] found_place;
  logic [Ports-1:0][1:0][31:0] found_line;

  for (genvar g = 0; g < Ports; g++) begin : gen_port
    tiara_lookup_port #(
      .Outstanding(Outstanding),
      .TagBits    (TagBits),
      .AddrBits   (AddrBits)
    ) u_port (
      .clk_i,
      .rst_ni,
      .read_valid_i (read_valid[g]),
      .read_ready_o (read_ready[g]),
      .read_tag_i   (tag),
      .read_key_i   (request.key),
      .read_addr_i  (read_addr),
      .done_valid_o (done_valid[g]),
      .done_tag_o   (done_tag[g]),
      .done_part_o  (done_part[g]),
      .found_tag_i  (front_tag),
      .found_hit_o  (found_hit[g]),
      .found_place_o(found_place[g]),
      .found_line_o (found_line[g]),
      .m_axi_arvalid(m_axi_arvalid[g]),
      .m_axi_arready(m_axi_arready[g]),
      .m_axi_araddr (m_axi_araddr[g]),
      .m_axi_arid   (m_axi_arid[g]),
      .m_axi_rvalid (m_axi_rvalid[g]),
      .m_axi_rready (m_axi_rready[g]),
      .m_axi_rdata  (m_axi_rdata[g]),
      .m_axi_rid    (m_axi_rid[g]),
      .m_axi_rresp  (m_axi_rresp[g]),
      .m_axi_rlast  (m_axi_rlast[g])
    );
  end

  // ---- the result: the first bucket wins

  tiara_card_result_t result;
  logic [PortBits-1:0] port_1, port_2;
  logic hit_1, hit_2;

  assign port_1 = port_of(front.bucket_1);
  assign port_2 = port_of(front.bucket_2);
  assign hit_1  = front_read && found_hit[port_1][0];
  assign hit_2  = front_read && found_hit[port_2][1];

  always_comb begin
    result.hit     = hit_1 || hit_2;
    result.reason  = front.reason;
    if (front.reason == CardReasonNone && !result.hit) result.reason = CardReasonMiss;
    result.slot = hit_1 ? {front.bucket_1[29:0], found_place[port_1][0]}
                        : {front.bucket_2[29:0], found_place[port_2][1]};
    result.backend_line = hit_1 ? found_line[port_1][0] : found_line[port_2][1];
    result.hash    = front.hash;
    result.key     = front.key;
    result.headers = front.headers;
  end

  tiara_skid #(
    .Width($bits(tiara_card_result_t))
  ) u_out (
    .clk_i,
    .rst_ni,
    .s_valid_i(front_valid),
    .s_ready_o(front_ready),
    .s_data_i (result),
    .m_valid_o,
    .m_ready_i,
    .m_data_o (m_result_o)
  );

  always_ff @(posedge clk_i) begin
    begun_o <= begun_o + 16'(begins);
    ended_o <= ended_o + 16'(m_valid_o && m_ready_i);
    if (!rst_ni) begin
      begun_o <= '0;
      ended_o <= '0;
    end
  end

  // ---- properties

  logic past_q;
  logic [15:0] in_flight;
  assign in_flight = begun_o - ended_o;

  always_ff @(posedge clk_i) begin
    past_q <= rst_ni;
    if (past_q && rst_ni) begin
      // 1. Never more inside than places, and two in the register at the end.
      p_1 : assert (in_flight <= 16'(Depth + 2));
      // 2. Nothing but a request without a reason hits.
      p_2 : assert (!m_valid_o || !m_result_o.hit || m_result_o.reason == CardReasonNone);
      p_3 : assert (!m_valid_o || m_result_o.hit || m_result_o.reason != CardReasonNone);
    end
    c_1 : cover (past_q && rst_ni && front_valid && hit_1);
    c_2 : cover (past_q && rst_ni && front_valid && hit_2 && !hit_1);
    c_3 : cover (past_q && rst_ni && request_valid && !order_ready);
  end

endmodule
