// SPDX-License-Identifier: Apache-2.0
// Frames into headers: the first beat says what a packet is, the last one whether all of it came. Page:
// fpga/doc/tiara_parser.md.

module tiara_parser
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
#(
  parameter int unsigned MaxBeats = 152  // of a frame; a longer one is dropped
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  tiara_card_identity_t   identity_i,
  input  logic                   s_axis_rx_tvalid,
  output logic                   s_axis_rx_tready,
  input  logic [ StreamBits-1:0] s_axis_rx_tdata,
  input  logic [StreamBytes-1:0] s_axis_rx_tkeep,
  input  logic                   s_axis_rx_tlast,
  input  logic                   s_axis_rx_tuser,  // with tlast: the frame is bad
  // The frame as it came, to the packet FIFO.
  output logic                   m_axis_packet_tvalid,
  input  logic                   m_axis_packet_tready,
  output logic [ StreamBits-1:0] m_axis_packet_tdata,
  output logic [StreamBytes-1:0] m_axis_packet_tkeep,
  output logic                   m_axis_packet_tlast,
  output logic                   m_axis_packet_tuser,
  // One for each frame that is not bad.
  output logic                   headers_valid_o,
  input  logic                   headers_ready_i,
  output tiara_card_headers_t    headers_o,
  output logic                   dropped_o  // for a cycle: a bad or overlong frame ended
);

  localparam int unsigned BeatBits = $clog2(MaxBeats + 1);
  localparam int unsigned LenBits = $clog2((MaxBeats + 1) * StreamBytes);
  localparam int unsigned IpBytes = 20;
  localparam int unsigned PlainOff = 14;
  localparam int unsigned VlanOff = 18;
  localparam int unsigned L4Bytes = 14;  // as much of it as is looked at

  if (MaxBeats < 2 || LenBits > 17) begin : gen_check_beats
    $error("MaxBeats must be 2 to 1024");
  end

  // ---- frames: passed on, measured, and ended where they are bad

  logic [BeatBits-1:0] beat_q;  // of the frame that is coming in
  logic swallow_q;  // the rest of an overlong frame
  logic [StreamBits-1:0] first_q;
  logic take, ends, bad, overlong, whole;
  logic measured_ready;

  assign overlong = beat_q == BeatBits'(MaxBeats - 1) && !s_axis_rx_tlast;
  assign bad = s_axis_rx_tuser || overlong;
  assign ends = s_axis_rx_tlast || overlong;

  assign m_axis_packet_tvalid = s_axis_rx_tvalid && measured_ready && !swallow_q;
  assign m_axis_packet_tdata = s_axis_rx_tdata;
  assign m_axis_packet_tkeep = s_axis_rx_tkeep;
  assign m_axis_packet_tlast = ends;
  assign m_axis_packet_tuser = bad;

  assign s_axis_rx_tready = swallow_q || (measured_ready && m_axis_packet_tready);
  assign take = m_axis_packet_tvalid && m_axis_packet_tready;
  assign whole = take && ends && !bad;

  // The number of the last byte: the only one without a next.
  logic [$clog2(StreamBytes+1)-1:0] keep_cnt;
  logic [StreamBytes-1:0] keep_last;
  assign keep_last = s_axis_rx_tkeep & ~(s_axis_rx_tkeep >> 1);
  always_comb begin
    keep_cnt = '0;
    for (int unsigned i = 0; i < StreamBytes; i++) begin
      if (keep_last[i]) keep_cnt = keep_cnt | ($clog2(StreamBytes + 1))'(i + 1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (take && beat_q == '0) first_q <= s_axis_rx_tdata;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      beat_q <= '0;
      swallow_q <= 1'b0;
      dropped_o <= 1'b0;
    end else begin
      if (take) beat_q <= ends ? '0 : beat_q + 1'b1;
      if (take && overlong) swallow_q <= 1'b1;
      else if (s_axis_rx_tvalid && s_axis_rx_tlast) swallow_q <= 1'b0;
      dropped_o <= take && ends && bad;
    end
  end

  // ---- stage 1: the first beat and the length of a whole frame

  logic measured_valid_q, checked_ready;
  logic [StreamBits-1:0] data_q;
  logic [LenBits-1:0] len_q;

  assign measured_ready = !measured_valid_q || checked_ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) measured_valid_q <= 1'b0;
    else if (measured_ready) measured_valid_q <= whole;
  end

  always_ff @(posedge clk_i) begin
    if (whole) begin
      data_q <= beat_q == '0 ? s_axis_rx_tdata : first_q;
      len_q <= LenBits'({beat_q, 6'b0}) + LenBits'(keep_cnt);
    end
  end

  // ---- stage 2: fields, and what can be said of each alone

  function automatic logic [15:0] number(logic [15:0] be16);
    return {be16[7:0], be16[15:8]};
  endfunction

  // No host may have it: zero net, loopback, multicast, reserved, broadcast (RFC 1122 3.2.1.3).
  function automatic logic is_martian(logic [7:0] first);
    return first == 8'd0 || first == 8'd127 || first >= 8'd224;
  endfunction

  logic vlan;
  logic [15:0] ethertype;
  logic [IpBytes*8-1:0] ip;
  logic [L4Bytes*8-1:0] l4;
  logic [LenBits-1:0] room;  // from the IPv4 header on
  logic [LenBits-1:0] l3_off;
  logic [15:0] total_len, l4_len;
  logic [5:0] tcp_header_len;
  logic [19:0] sum;
  logic ours, sound, fits, l4_sound;

  assign vlan = data_q[12*8+:16] == EthertypeVlan;
  assign ethertype = vlan ? data_q[16*8+:16] : data_q[12*8+:16];
  assign ip = vlan ? data_q[VlanOff*8+:IpBytes*8] : data_q[PlainOff*8+:IpBytes*8];
  assign l4 = vlan ? data_q[(VlanOff+IpBytes)*8+:L4Bytes*8] : data_q[(PlainOff+IpBytes)*8+:L4Bytes*8];
  assign l3_off = vlan ? LenBits'(VlanOff) : LenBits'(PlainOff);
  assign room = len_q - l3_off;
  assign total_len = number(ip[2*8+:16]);
  assign l4_len = total_len - 16'(IpBytes);
  assign tcp_header_len = {l4[12*8+4+:4], 2'b00};

  assign ours = data_q[47:0] == identity_i.port_mac && data_q[47:0] != identity_i.kernel_mac &&
      ethertype == EthertypeIpv4 && ip[16*8+:32] != identity_i.address;
  assign fits = len_q >= l3_off + LenBits'(IpBytes) && 17'(total_len) <= 17'(room);
  assign sound = ip[7:4] == 4'd4 && ip[3:0] >= 4'd5 && total_len >= 16'(IpBytes) &&
      !is_martian(ip[12*8+:8]);

  always_comb begin
    unique case (ip[9*8+:8])
      ProtocolTcp:
      l4_sound = l4_len >= 16'd20 && tcp_header_len >= 6'd20 && 16'(tcp_header_len) <= l4_len;
      ProtocolUdp: l4_sound = l4_len >= 16'd8;
      default: l4_sound = 1'b0;
    endcase
  end

  always_comb begin
    sum = '0;
    for (int unsigned i = 0; i < IpBytes / 2; i++) sum += 20'(ip[i*16+:16]);
  end

  // The source's MAC, TCP's numbers and the payload say nothing here.
  logic unused;
  assign unused = &{1'b0, data_q, l4};

  tiara_card_headers_t fields;
  assign fields = '{
          reason: CardReasonNone,
          vlan: vlan,
          total_len: total_len,
          ttl: ip[8*8+:8],
          tos: ip[1*8+:8],
          tcp_flags: ip[9*8+:8] == ProtocolTcp ? l4[13*8+:8] : 8'd0,
          protocol: ip[9*8+:8],
          port: l4[2*8+:16],
          client_port: l4[0*8+:16],
          vip: ip[16*8+:32],
          client_addr: ip[12*8+:32]
      };

  logic checked_valid_q, stage3_ready;
  tiara_card_headers_t fields_q;
  logic [19:0] sum_q;
  logic sound_q, options_q, fragment_q, l4_sound_q;

  assign checked_ready = !checked_valid_q || stage3_ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) checked_valid_q <= 1'b0;
    else if (checked_ready) checked_valid_q <= measured_valid_q;
  end

  always_ff @(posedge clk_i) begin
    if (checked_ready) begin
      fields_q <= fields;
      sum_q <= sum;
      sound_q <= ours && fits && sound;
      options_q <= ip[3:0] > 4'd5;
      fragment_q <= (number(ip[6*8+:16]) & 16'h3fff) != '0;
      l4_sound_q <= l4_sound;
    end
  end

  // ---- stage 3: the reason

  logic [16:0] fold_1;
  logic [15:0] fold_2;
  tiara_card_reason_e reason;

  assign fold_1 = 17'(sum_q[15:0]) + 17'(sum_q[19:16]);
  assign fold_2 = fold_1[15:0] + 16'(fold_1[16]);

  always_comb begin
    if (!sound_q) reason = CardReasonOther;
    else if (options_q) reason = CardReasonOptions;
    else if (fold_2 != 16'hffff) reason = CardReasonOther;
    else if (fragment_q) reason = CardReasonFragment;
    else if (fields_q.ttl <= 8'd1) reason = CardReasonTtl;
    else if (!l4_sound_q) reason = CardReasonOther;
    else if (fields_q.tcp_flags[TcpSyn]) reason = CardReasonOpens;
    else if (fields_q.tcp_flags[TcpFin] || fields_q.tcp_flags[TcpRst]) reason = CardReasonCloses;
    else reason = CardReasonNone;
  end

  logic headers_valid_q;
  tiara_card_headers_t headers_q;

  assign stage3_ready = !headers_valid_q || headers_ready_i;
  assign headers_valid_o = headers_valid_q;
  assign headers_o = headers_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) headers_valid_q <= 1'b0;
    else if (stage3_ready) headers_valid_q <= checked_valid_q;
  end

  always_ff @(posedge clk_i) begin
    if (stage3_ready) begin
      headers_q <= fields_q;
      headers_q.reason <= reason;
    end
  end

  // Properties. P1: the source sends whole beats but for the last, and no holes. P2: an offered record
  // and an offered beat stay until they are taken. P3: no frame is longer than MaxBeats behind here.
  logic headers_stalled_q, packet_stalled_q;
  tiara_card_headers_t headers_before_q;

  always_ff @(posedge clk_i) begin
    headers_stalled_q <= rst_ni && headers_valid_o && !headers_ready_i;
    headers_before_q <= headers_o;
    packet_stalled_q <= rst_ni && m_axis_packet_tvalid && !m_axis_packet_tready;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      p1_keep :
      assert (!s_axis_rx_tvalid || (s_axis_rx_tlast ? s_axis_rx_tkeep != '0 &&
              (s_axis_rx_tkeep & (s_axis_rx_tkeep + 1'b1)) == '0 : s_axis_rx_tkeep == '1));
      p2_headers_stay : assert (!headers_stalled_q || (headers_valid_o && headers_o == headers_before_q));
      p2_packet_stays : assert (!packet_stalled_q || m_axis_packet_tvalid);
      p3_length : assert (beat_q < BeatBits'(MaxBeats));
      c1_waits : cover (s_axis_rx_tvalid && !measured_ready);
      c2_overlong : cover (take && overlong);
      c3_bad : cover (take && ends && s_axis_rx_tuser);
    end
  end

endmodule
