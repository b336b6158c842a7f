// SPDX-License-Identifier: Apache-2.0
// What becomes of a packet, and the headers that it needs for it: the backend's line, checked, and the
// outer headers as path/ipip.c and path/vxlan.c write them. Page: fpga/doc/tiara_rewrite.md.

module tiara_rewrite_plan
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned BackendLines = 4096,
  localparam int unsigned LineBits = $clog2(BackendLines)
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  output logic                               backend_ready_o,
  input  logic                               backend_write_i,
  input  logic                [LineBits-1:0] backend_line_i,
  input  tiara_card_backend_t                backend_i,
  input  logic                               result_valid_i,
  output logic                               result_ready_o,
  input  tiara_card_result_t                 result_i,
  output logic                               job_valid_o,
  input  logic                               job_ready_i,
  output tiara_card_job_t                    job_o
);

  if (BackendLines < 2 || (BackendLines & (BackendLines - 1)) != 0) begin : gen_check_lines
    $error("BackendLines must be a power of two, at least 2");
  end

  // dataplane/path/tunnel.h and vxlan.c.
  localparam logic [7:0] TunnelTtl = 8'd64;
  localparam logic [15:0] DontFragment = 16'h4000;
  localparam logic [16:0] IpipBytes = 17'd20;
  localparam logic [16:0] VxlanBytes = 17'd50;
  localparam logic [7:0] VniValid = 8'h08;
  localparam logic [63:0] PortMix = 64'h9e3779b97f4a7c15;

  function automatic logic [15:0] swap(logic [15:0] x);
    return {x[7:0], x[15:8]};
  endfunction

  // All stages move together; the last one may wait.
  localparam int unsigned Stages = 4;
  logic en;
  logic [Stages:1] valid_q;

  assign en = !valid_q[Stages] || job_ready_i;
  assign result_ready_o = en && backend_ready_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en) valid_q <= {valid_q[Stages-1:1], result_valid_i && result_ready_o};
  end

  // Stage 1: the line.
  tiara_card_result_t result_1_q;
  tiara_card_backend_t line;

  tiara_table_ram #(
    .Lines(BackendLines),
    .LineBits($bits(tiara_card_backend_t))
  ) u_backends (
    .clk_i,
    .rst_ni,
    .ready_o(backend_ready_o),
    .write_i(backend_write_i),
    .write_addr_i(backend_line_i),
    .write_line_i(backend_i),
    .read_i(en),
    .read_addr_i(result_i.backend_line[LineBits-1:0]),
    .read_line_o(line)
  );

  always_ff @(posedge clk_i) begin
    if (en) result_1_q <= result_i;
  end

  // Stage 2: which way, and how long. The multiplication has two registers to spread over.
  tiara_card_result_t result_2_q;
  tiara_card_backend_t line_2_q;
  tiara_card_reason_e reason, reason_2_q;
  logic there;
  logic [16:0] more, packet_len, packet_len_2_q;
  logic [63:0] mix_2_q, mix_3_q;

  assign there = line.valid != '0 && 32'(result_1_q.backend_line) < 32'(BackendLines) &&
      (line.forward == ForwardL2 || line.forward == ForwardVxlan || line.forward == ForwardIpip);
  always_comb begin
    unique case (line.forward)
      ForwardVxlan: more = VxlanBytes;
      ForwardIpip: more = IpipBytes;
      default: more = '0;
    endcase
  end
  assign packet_len = 17'(result_1_q.headers.total_len) + more;

  always_comb begin
    if (result_1_q.reason != CardReasonNone) reason = result_1_q.reason;
    else if (!result_1_q.hit) reason = CardReasonMiss;
    else if (!there) reason = CardReasonNoBackend;
    else if (packet_len > 17'(line.mtu_bytes)) reason = CardReasonTooBig;
    else reason = CardReasonNone;
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      result_2_q <= result_1_q;
      line_2_q <= line;
      reason_2_q <= reason;
      packet_len_2_q <= packet_len;
      mix_2_q <= result_1_q.hash * PortMix;
    end
  end

  // Stage 3: the outer header's sum, of what changes in it. Words are in the wire's order, as its
  // carries run round they may be.
  tiara_card_result_t result_3_q;
  tiara_card_backend_t line_3_q;
  tiara_card_reason_e reason_3_q;
  logic [16:0] packet_len_3_q;
  logic [19:0] sum_3_q;
  logic [7:0] protocol;

  assign protocol = line_2_q.forward == ForwardIpip ? ProtocolIpip : ProtocolUdp;

  always_ff @(posedge clk_i) begin
    if (en) begin
      result_3_q <= result_2_q;
      line_3_q <= line_2_q;
      reason_3_q <= reason_2_q;
      packet_len_3_q <= packet_len_2_q;
      mix_3_q <= mix_2_q;
      sum_3_q <= 20'({8'h45, result_2_q.headers.tos}) + 20'(packet_len_2_q[15:0]) +
          20'(DontFragment) + 20'({TunnelTtl, protocol}) +
          20'(swap(line_2_q.local_addr[15:0])) + 20'(swap(line_2_q.local_addr[31:16])) +
          20'(swap(line_2_q.addr[15:0])) + 20'(swap(line_2_q.addr[31:16]));
    end
  end

  // Stage 4: the job.
  logic [16:0] fold_1;
  logic [15:0] fold_2;
  logic [19:0][7:0] ipv4;
  logic [29:0][7:0] vxlan;
  logic [15:0] source_port;
  logic [23:0] vni;
  tiara_card_job_t job_q;

  assign fold_1 = 17'(sum_3_q[15:0]) + 17'(sum_3_q[19:16]);
  assign fold_2 = ~(fold_1[15:0] + 16'(fold_1[16]));
  assign source_port = {2'b11, mix_3_q[63:50]};
  assign vni = line_3_q.vni[23:0];

  // Last byte on the wire first.
  assign ipv4 = {
    line_3_q.addr,
    line_3_q.local_addr,
    swap(fold_2),
    line_3_q.forward == ForwardIpip ? ProtocolIpip : ProtocolUdp,
    TunnelTtl,
    swap(DontFragment),
    16'd0,
    swap(packet_len_3_q[15:0]),
    result_3_q.headers.tos,
    8'h45
  };
  assign vxlan = {
    EthertypeIpv4,
    line_3_q.port_mac,
    line_3_q.inner_mac,
    8'd0,
    {vni[7:0], vni[15:8], vni[23:16]},
    24'd0,
    VniValid,
    16'd0,
    swap(packet_len_3_q[15:0] - 16'd20),
    line_3_q.tunnel_port,
    swap(source_port)
  };

  always_ff @(posedge clk_i) begin
    if (en) begin
      job_q.up <= reason_3_q != CardReasonNone;
      job_q.meta <= '{
          pad: '0,
          reason: reason_3_q,
          service_idx: result_3_q.key[63:48],
          hash: result_3_q.hash,
          key: result_3_q.key
      };
      job_q.vlan <= result_3_q.headers.vlan;
      job_q.forward <= tiara_forward_e'(line_3_q.forward);
      job_q.len <= packet_len_3_q + (result_3_q.headers.vlan ? 17'd18 : 17'd14);
      job_q.macs <= {line_3_q.port_mac, line_3_q.next_hop_mac};
      job_q.outer <= {vxlan, ipv4};
      job_q.forwarded <= '{
          slot: result_3_q.slot,
          backend_line: result_3_q.backend_line,
          service_idx: result_3_q.key[63:48],
          bytes: result_3_q.headers.total_len + (result_3_q.headers.vlan ? 16'd18 : 16'd14)
      };
    end
  end

  assign job_valid_o = valid_q[Stages];
  assign job_o = job_q;

  // What the lookup was asked by, and what of lines and products is not sent.
  logic unused;
  assign unused = &{1'b0, result_3_q, line_3_q, mix_3_q};

  // Properties. P1: a hit is only of what was to be looked up. P2: what goes out fits the way.
  // P3: an offered job stays until it is taken.
  logic stalled_q;
  tiara_card_job_t before_q;

  always_ff @(posedge clk_i) begin
    stalled_q <= rst_ni && job_valid_o && !job_ready_i;
    before_q <= job_o;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      p1_hit : assert (!(result_valid_i && result_i.hit && result_i.reason != CardReasonNone));
      p2_fits : assert (!valid_q[2] || reason_2_q != CardReasonNone ||
                        packet_len_2_q <= 17'(line_2_q.mtu_bytes));
      p3_stays : assert (!stalled_q || (job_valid_o && job_o == before_q));
      c1_too_big : cover (valid_q[2] && reason_2_q == CardReasonTooBig);
      c2_no_backend : cover (valid_q[2] && reason_2_q == CardReasonNoBackend);
      c3_carry : cover (valid_q[3] && fold_1[16]);
    end
  end

endmodule
