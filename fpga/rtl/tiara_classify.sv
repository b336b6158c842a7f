// SPDX-License-Identifier: Apache-2.0
// Which service a packet is for, and with that its connection's key, hash and buckets. Page:
// fpga/doc/tiara_classify.md.

module tiara_classify
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned ServiceLines = 2048,  // two halves: a frontend has one place in each
  parameter int unsigned BucketBits = 20,
  localparam int unsigned LineBits = $clog2(ServiceLines)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [       126:0] secret_i,
  // The service table; the line's top bit is the half.
  output logic                service_ready_o,
  input  logic                service_write_i,
  input  logic [LineBits-1:0] service_line_i,
  input  tiara_card_service_t service_i,
  input  logic                headers_valid_i,
  output logic                headers_ready_o,
  input  tiara_card_headers_t headers_i,
  output logic                request_valid_o,
  input  logic                request_ready_i,
  output tiara_card_request_t request_o
);

  localparam int unsigned HashStages = 5;
  localparam int unsigned Stages = 3 + HashStages;  // place, read, match, hash
  localparam int unsigned PlaceBits = LineBits - 1;

  if (ServiceLines < 4 || (ServiceLines & (ServiceLines - 1)) != 0 || LineBits > 16) begin : gen_check_lines
    $error("ServiceLines must be a power of two, 4 to 65536");
  end
  if (BucketBits < 1 || BucketBits > 30) begin : gen_check_buckets
    $error("BucketBits must be 1 to 30");
  end

  // All stages move together; the last one may wait.
  logic en, out_valid_q;
  logic [Stages:1] valid_q;
  tiara_card_headers_t headers_q[1:Stages];

  assign en = !out_valid_q || request_ready_i;
  assign headers_ready_o = en && service_ready_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      out_valid_q <= 1'b0;
    end else if (en) begin
      valid_q <= {valid_q[Stages-1:1], headers_valid_i && headers_ready_o};
      out_valid_q <= valid_q[Stages];
    end
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      headers_q[1] <= headers_i;
      for (int unsigned i = 2; i <= Stages; i++) headers_q[i] <= headers_q[i-1];
    end
  end

  // Stages 1 and 2: the two places, and what stands there.
  logic [31:0] place_hash, place_hash_q;
  tiara_card_service_t [1:0] found;
  logic [1:0] table_ready;

  tiara_service_hash u_place (
    .vip_i(headers_i.vip),
    .port_i(headers_i.port),
    .protocol_i(headers_i.protocol),
    .hash_o(place_hash)
  );

  always_ff @(posedge clk_i) begin
    if (en) place_hash_q <= place_hash;
  end

  for (genvar half = 0; half < 2; half++) begin : gen_half
    tiara_table_ram #(
      .Lines(ServiceLines / 2),
      .LineBits($bits(tiara_card_service_t))
    ) u_services (
      .clk_i,
      .rst_ni,
      .ready_o(table_ready[half]),
      .write_i(service_write_i && service_line_i[LineBits-1] == 1'(half)),
      .write_addr_i(service_line_i[PlaceBits-1:0]),
      .write_line_i(service_i),
      .read_i(en),
      .read_addr_i(place_hash_q[half*16+:PlaceBits]),
      .read_line_o(found[half])
    );
  end
  assign service_ready_o = &table_ready;

  // The middle of the place's hash and the pad of lines say nothing here.
  logic unused;
  assign unused = &{1'b0, place_hash_q, found[0].pad, found[1].pad};

  // Stage 3: is one of them the frontend? Then the key: the first half of an entry.
  typedef struct packed {
    logic [7:0]  protocol;
    logic [15:0] port;
    logic [31:0] vip;
  } match_t;

  match_t wanted;
  match_t [1:0] offered;

  logic has_ports;
  logic [1:0] match;
  logic [63:0] key, key_q[3:Stages];
  logic found_q[3:Stages];

  assign has_ports = headers_q[2].reason == CardReasonNone || headers_q[2].reason == CardReasonOpens ||
      headers_q[2].reason == CardReasonCloses;
  assign wanted = '{headers_q[2].protocol, headers_q[2].port, headers_q[2].vip};
  for (genvar half = 0; half < 2; half++) begin : gen_match
    assign offered[half] = '{found[half].protocol, found[half].port, found[half].vip};
    assign match[half] = has_ports && found[half].valid != '0 && offered[half] == wanted;
  end
  assign key = match == '0 ? '0 : {
      match[0] ? found[0].service_idx : found[1].service_idx,
      headers_q[2].client_port,
      headers_q[2].client_addr
    };

  always_ff @(posedge clk_i) begin
    if (en) begin
      key_q[3] <= key;
      found_q[3] <= match != '0;
      for (int unsigned i = 4; i <= Stages; i++) begin
        key_q[i] <= key_q[i-1];
        found_q[i] <= found_q[i-1];
      end
    end
  end

  // Stages 4 to 8: the hash. Without a service it is of 0, which is 0.
  logic [63:0] hash;

  tiara_hash u_hash (
    .clk_i,
    .en_i(en),
    .secret_i,
    .key_i(key_q[3]),
    .hash_o(hash)
  );

  // Last stage: the buckets, never the same one.
  localparam logic [31:0] BucketMask = (32'd1 << BucketBits) - 1;
  logic [31:0] bucket_1, bucket_2;
  tiara_card_request_t request_q;

  assign bucket_1 = hash[31:0] & BucketMask;
  assign bucket_2 = hash[63:32] & BucketMask;

  always_ff @(posedge clk_i) begin
    if (en) begin
      request_q.reason <= headers_q[Stages].reason == CardReasonNone && !found_q[Stages] ?
          CardReasonNoService : headers_q[Stages].reason;
      request_q.bucket_1 <= bucket_1;
      request_q.bucket_2 <= bucket_2 == bucket_1 ? bucket_2 ^ 32'd1 : bucket_2;
      request_q.hash <= hash;
      request_q.key <= key_q[Stages];
      request_q.headers <= headers_q[Stages];
    end
  end

  assign request_valid_o = out_valid_q;
  assign request_o = request_q;

  // Properties. P1: a frontend is written in one place only. P2: an offered request stays until it is
  // taken. P3: the buckets of a request differ. P4: nothing is looked up without a key.
  logic stalled_q;
  tiara_card_request_t before_q;

  always_ff @(posedge clk_i) begin
    stalled_q <= rst_ni && request_valid_o && !request_ready_i;
    before_q <= request_o;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      p1_one_place : assert (!(valid_q[2] && match == 2'b11));
      p2_stays : assert (!stalled_q || (request_valid_o && request_o == before_q));
      p3_two_buckets : assert (!request_valid_o || request_o.bucket_1 != request_o.bucket_2);
      p4_key : assert (!request_valid_o || request_o.reason != CardReasonNone || request_o.key != '0);
      c1_first : cover (valid_q[2] && match[0]);
      c2_second : cover (valid_q[2] && match[1]);
      c3_no_service : cover (request_valid_o && request_o.reason == CardReasonNoService);
    end
  end

endmodule
