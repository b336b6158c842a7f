// SPDX-License-Identifier: Apache-2.0
// Moves a packet's beats out as its job says: up as they are; or out behind new headers, which shift all
// that follows by 0, 20 or 50 bytes, and cut to the IPv4 packet's length. Page: fpga/doc/tiara_rewrite.md.

module tiara_rewrite_stream
  import tiara_layout_pkg::*;
  import tiara_card_pkg::*;
(
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  logic                                job_valid_i,
  output logic                                job_ready_o,
  input  tiara_card_job_t                     job_i,
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

  localparam int unsigned IpipBytes = 20;
  localparam int unsigned VxlanBytes = 50;

  typedef enum logic [1:0] {
    StFirst,  // nothing of the packet has moved
    StMore,   // some of it has
    StFlush,  // all of it is in, its last bytes still have to go out
    StDrain   // all that goes out is out, padding is still to come in
  } state_e;

  state_e state_q;
  logic second_q;  // the next beat out is the second one
  logic [16:0] left, left_q;  // bytes still to go out
  logic [VxlanBytes*8-1:0] carry_q;  // the end of the beat before

  // ---- what moves in this cycle

  logic tx_free, cpu_free, needs_beat, in, tx_push, cpu_push, in_ends, out_ends, done;

  assign tx_free = !m_axis_tx_tvalid || m_axis_tx_tready;
  assign cpu_free = !m_axis_cpu_tvalid || m_axis_cpu_tready;
  assign left = state_q == StFirst ? job_i.len : left_q;
  assign needs_beat = state_q != StFlush;
  assign s_axis_packet_tready = job_valid_i && needs_beat &&
      (state_q == StDrain || (job_i.up ? cpu_free : tx_free));
  assign in = s_axis_packet_tvalid && s_axis_packet_tready;
  assign in_ends = in && s_axis_packet_tlast;
  assign cpu_push = in && job_i.up;
  assign tx_push = !job_i.up && (state_q == StFlush ? tx_free : in && state_q != StDrain);
  assign out_ends = left <= 17'(StreamBytes);

  always_comb begin
    unique case (state_q)
      StFlush: done = tx_push && out_ends;
      StDrain: done = in_ends;
      default: done = in_ends && (job_i.up || out_ends);
    endcase
  end
  assign job_ready_o = done;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StFirst;
    end else if (done) begin
      state_q <= StFirst;
    end else if (in && state_q != StDrain) begin
      if (job_i.up) state_q <= StMore;
      else if (in_ends) state_q <= StFlush;
      else if (out_ends) state_q <= StDrain;
      else state_q <= StMore;
    end
  end

  always_ff @(posedge clk_i) begin
    if (tx_push) begin
      left_q <= left - 17'(StreamBytes);
      carry_q <= s_axis_packet_tdata[StreamBits-1-:VxlanBytes*8];
      second_q <= state_q == StFirst;
    end
  end

  // ---- the beat that goes out: shifted, and with new headers over its front

  // What lies before the client's IPv4 header when a tunnel's headers come between: at most 18 + 50 bytes.
  localparam int unsigned HeadBytes = 68;
  logic [StreamBits-1:0] shifted, headed;
  logic [HeadBytes-1:0][7:0] head;
  logic [3:0][7:0] after_macs;  // a tag and the type behind it, or what follows a type: the frame's own
  logic [1:0][7:0] type_bytes;

  always_comb begin
    unique case (job_i.forward)
      ForwardVxlan:
      shifted = {s_axis_packet_tdata[StreamBits-VxlanBytes*8-1:0], carry_q};
      ForwardIpip:
      shifted = {s_axis_packet_tdata[StreamBits-IpipBytes*8-1:0],
                 carry_q[VxlanBytes*8-1-:IpipBytes*8]};
      default: shifted = s_axis_packet_tdata;
    endcase
  end

  assign type_bytes = s_axis_packet_tdata[12*8+:16];
  assign after_macs = s_axis_packet_tdata[14*8+:32];
  assign head = job_i.vlan ? {job_i.outer, after_macs, type_bytes, job_i.macs} :
      {32'd0, job_i.outer, type_bytes, job_i.macs};

  always_comb begin
    headed = shifted;
    if (state_q == StFirst) begin
      unique case (job_i.forward)
        ForwardVxlan: headed = head[StreamBytes-1:0];
        ForwardIpip: begin
          headed[33*8+7:0] = head[33:0];
          if (job_i.vlan) headed[37*8+7:34*8] = head[37:34];
        end
        default: headed[11*8+7:0] = head[11:0];
      endcase
    end else if (second_q && job_i.forward == ForwardVxlan && job_i.vlan) begin
      headed[3*8+7:0] = head[67:64];
    end
  end

  // ---- streams out

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      m_axis_tx_tvalid <= 1'b0;
      m_axis_cpu_tvalid <= 1'b0;
      forwarded_valid_o <= 1'b0;
    end else begin
      m_axis_tx_tvalid <= tx_push || (m_axis_tx_tvalid && !m_axis_tx_tready);
      m_axis_cpu_tvalid <= cpu_push || (m_axis_cpu_tvalid && !m_axis_cpu_tready);
      forwarded_valid_o <= tx_push && out_ends;
    end
  end

  always_ff @(posedge clk_i) begin
    if (tx_push) begin
      m_axis_tx_tdata <= headed;
      m_axis_tx_tkeep <= out_ends ? {StreamBytes{1'b1}} >> (7'(StreamBytes) - left[6:0]) : '1;
      m_axis_tx_tlast <= out_ends;
      forwarded_o <= job_i.forwarded;
    end
    if (cpu_push) begin
      m_axis_cpu_tdata <= s_axis_packet_tdata;
      m_axis_cpu_tkeep <= s_axis_packet_tkeep;
      m_axis_cpu_tlast <= s_axis_packet_tlast;
      m_axis_cpu_tuser <= job_i.meta;
    end
  end

  // Properties. P1: the packet holds what its job sends. P2: offered beats stay until they are taken.
  // P3: bytes still to go out never run below one while beats go out.
  logic tx_stalled_q, cpu_stalled_q;
  logic [StreamBits-1:0] tx_before_q, cpu_before_q;

  always_ff @(posedge clk_i) begin
    tx_stalled_q <= rst_ni && m_axis_tx_tvalid && !m_axis_tx_tready;
    cpu_stalled_q <= rst_ni && m_axis_cpu_tvalid && !m_axis_cpu_tready;
    tx_before_q <= m_axis_tx_tdata;
    cpu_before_q <= m_axis_cpu_tdata;
  end

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      p1_enough : assert (!(state_q == StFlush && left > 17'(VxlanBytes)));
      p2_tx_stays : assert (!tx_stalled_q || (m_axis_tx_tvalid && m_axis_tx_tdata == tx_before_q));
      p2_cpu_stays :
      assert (!cpu_stalled_q || (m_axis_cpu_tvalid && m_axis_cpu_tdata == cpu_before_q));
      p3_left : assert (!tx_push || left != '0);
      c1_flush : cover (state_q == StFlush && tx_push);
      c2_drain : cover (state_q == StDrain && in);
      c3_head_of_two_beats : cover (tx_push && second_q && job_i.forward == ForwardVxlan && job_i.vlan);
    end
  end

endmodule
