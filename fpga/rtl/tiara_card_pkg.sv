// SPDX-License-Identifier: Apache-2.0
// What flows between the modules of the card (docs/design/0017). What the CPU shares is in
// tiara_layout_pkg.
//
// Byte k of a beat is bits [8k+7:8k]; a frame's first byte is byte 0. A member called _addr, _port or
// vip is in network byte order with the first byte on the wire in its bits [7:0], as in
// tiara_layout_pkg; all other numbers are numbers.

package tiara_card_pkg;

  import tiara_layout_pkg::*;

  // A package offers more than one module uses.
  /* verilator lint_off UNUSEDPARAM */

  localparam int unsigned StreamBytes = 64;
  localparam int unsigned StreamBits = 8 * StreamBytes;

  localparam logic [7:0] ProtocolIpip = 8'd4;
  localparam logic [7:0] ProtocolTcp = 8'd6;
  localparam logic [7:0] ProtocolUdp = 8'd17;

  // In the wire's order: the first byte in bits [7:0].
  localparam logic [15:0] EthertypeIpv4 = 16'h0008;
  localparam logic [15:0] EthertypeVlan = 16'h0081;

  localparam int unsigned TcpFin = 0;
  localparam int unsigned TcpSyn = 1;
  localparam int unsigned TcpRst = 2;

  /* verilator lint_on UNUSEDPARAM */

  // tiara_parser to tiara_classify: one for each frame in the packet FIFO, in its order. With another
  // reason than NONE, OPENS or CLOSES the members from client_addr to tcp_flags mean nothing, and
  // total_len and tos neither.
  typedef struct packed {
    tiara_card_reason_e reason;   // NONE: look it up
    logic               vlan;    // the IPv4 header begins at byte 18, not 14
    logic [15:0]        total_len;  // of the IPv4 packet; what the frame holds behind it is padding
    logic [7:0]         ttl;
    logic [7:0]         tos;
    logic [7:0]         tcp_flags;  // 0 for UDP
    logic [7:0]         protocol;
    logic [15:0]        port;
    logic [15:0]        client_port;
    logic [31:0]        vip;
    logic [31:0]        client_addr;
  } tiara_card_headers_t;

  // tiara_classify to tiara_lookup. With reason NONE: find the key in one of the two buckets. Without:
  // it only keeps its place in the order.
  typedef struct packed {
    tiara_card_reason_e  reason;  // headers.reason, or NO_SERVICE
    logic [31:0]         bucket_2;
    logic [31:0]         bucket_1;
    logic [63:0]         hash;
    logic [63:0]         key;  // first half of tiara_card_entry_t; 0 (and its hash) without a service
    tiara_card_headers_t headers;
  } tiara_card_request_t;

  // tiara_lookup to tiara_rewrite, in the order of the requests.
  typedef struct packed {
    logic                hit;     // only with reason NONE
    tiara_card_reason_e  reason;  // the request's, or MISS
    logic [31:0]         slot;    // bucket * 4 + place in it; with hit
    logic [31:0]         backend_line;  // with hit
    logic [63:0]         hash;
    logic [63:0]         key;
    tiara_card_headers_t headers;
  } tiara_card_result_t;

  // tiara_rewrite to tiara_pipe: a packet was forwarded. Valid for one cycle, in order, at most one a cycle;
  // whoever listens keeps pace. From there to tiara_seen and tiara_totals.
  typedef struct packed {
    logic [31:0] slot;
    logic [31:0] backend_line;
    logic [15:0] service_idx;
    logic [15:0] bytes;  // of the client's frame without padding, as the CPU counts them
  } tiara_card_forwarded_t;

  // tiara_pipe to tiara_counters: what is counted in this cycle.
  typedef struct packed {
    logic       rx;
    logic       tx;
    logic       cpu;
    logic       bad;
    logic       cpu_dropped;
    logic [6:0] rx_bytes;
    logic [6:0] tx_bytes;
    logic [6:0] cpu_bytes;
  } tiara_card_steps_t;

  // Inside tiara_rewrite: what becomes of one packet.
  typedef struct packed {
    logic                  up;  // to the CPU, as it came, with meta; the rest means nothing then
    tiara_card_meta_t      meta;
    logic                  vlan;
    tiara_forward_e        forward;
    logic [16:0]           len;  // of the frame that goes out
    logic [11:0][7:0]      macs;  // its first twelve bytes
    logic [49:0][7:0]      outer;  // what comes between its type and the client's IPv4 header
    tiara_card_forwarded_t forwarded;
  } tiara_card_job_t;

  // What the parser knows of the card's own place; from registers, changed while no frame is inside or
  // with either value in force for those that are.
  typedef struct packed {
    logic [5:0][7:0] port_mac;    // what is for another one goes up
    logic [5:0][7:0] kernel_mac;  // what is for this one goes up, too
    logic [31:0]     address;     // as does what is for this address
  } tiara_card_identity_t;

endpackage
