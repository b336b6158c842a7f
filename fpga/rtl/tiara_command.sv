// SPDX-License-Identifier: Apache-2.0
// Carries out what the CPU commands, one command after another, by the rules of docs/design/0016. See
// fpga/doc/tiara_command.md.

module tiara_command
  import tiara_layout_pkg::*;
#(
  parameter int unsigned Pipes = 1,
  parameter int unsigned Ports = 16,
  parameter int unsigned BucketBits = 22,
  parameter int unsigned PortShift = 28,  // port p's buckets begin at address p << PortShift
  localparam int unsigned AddrBits = PortShift + $clog2(Ports)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [15:0]         epoch_i,    // changes only in reset
  output logic                ready_o,    // the table is empty after reset: lookups may begin
  output logic                dropped_o,  // a pulse: a command was dropped
  output logic                error_o,    // a pulse: the memory answered with an error
  // Commands and answers, one beat each.
  input  logic                s_axis_cmd_tvalid,
  output logic                s_axis_cmd_tready,
  input  logic [255:0]        s_axis_cmd_tdata,
  output logic                m_axis_ans_tvalid,
  input  logic                m_axis_ans_tready,
  output logic [255:0]        m_axis_ans_tdata,
  // Of each pipe: how many requests have begun to read, how many results have set their bits.
  input  logic [Pipes-1:0][15:0] begun_i,
  input  logic [Pipes-1:0][15:0] ended_i,
  // tiara_seen.
  output logic                query_valid_o,
  input  logic                query_ready_i,
  output logic [31:0]         query_slot_o,
  input  logic                query_done_i,
  input  logic                query_seen_i,
  output logic                harvest_valid_o,
  input  logic                harvest_ready_i,
  output logic                harvest_swap_o,
  input  logic                line_valid_i,
  output logic                line_ready_o,
  input  logic [31:0]         line_slot_i,
  input  logic [127:0]        line_bits_i,
  input  logic                line_end_i,
  // AXI4, 256 bits, one transfer at a time.
  output logic                m_axi_awvalid,
  input  logic                m_axi_awready,
  output logic [AddrBits-1:0] m_axi_awaddr,
  output logic [7:0]          m_axi_awlen,
  output logic                m_axi_wvalid,
  input  logic                m_axi_wready,
  output logic [255:0]        m_axi_wdata,
  output logic [31:0]         m_axi_wstrb,
  output logic                m_axi_wlast,
  input  logic                m_axi_bvalid,
  output logic                m_axi_bready,
  input  logic [1:0]          m_axi_bresp,
  output logic                m_axi_arvalid,
  input  logic                m_axi_arready,
  output logic [AddrBits-1:0] m_axi_araddr,
  input  logic                m_axi_rvalid,
  output logic                m_axi_rready,
  input  logic [255:0]        m_axi_rdata,
  input  logic [1:0]          m_axi_rresp
);

  localparam int unsigned PortBits = $clog2(Ports);
  localparam int unsigned PortBytesBits = BucketBits - PortBits + 6;
  // The table is cleared in bursts of 4096 bytes, or of a port's share if that is less.
  localparam int unsigned BurstBits = (PortBytesBits < 12) ? PortBytesBits : 12;
  localparam int unsigned BurstBeats = 2 ** (BurstBits - 5);
  localparam int unsigned ClearBits = PortBits + PortBytesBits - BurstBits;  // of a burst's number
  localparam int unsigned ChannelBits = $clog2(CardChannels);

  if (Ports == 0 || Ports != 2 ** PortBits) begin : gen_bad_ports
    $error("tiara_command: Ports is no power of two");
  end
  if (BucketBits <= PortBits || BucketBits > 29) begin : gen_bad_buckets
    $error("tiara_command: BucketBits leaves no bucket to a port, or slots of more than 31 bits");
  end
  if (PortShift < PortBytesBits) begin : gen_bad_shift
    $error("tiara_command: a port's buckets do not fit below 1 << PortShift");
  end

  typedef enum logic [3:0] {
    StClear,    // a burst of zeros goes out
    StCleared,  // and is answered
    StIdle,
    StCheck,
    StHarvest,
    StRead,
    StCompare,
    StWrite,
    StWritten,
    StFence,    // until lookups that may have seen the entry have set its bit
    StQuery,
    StQueried,
    StAnswer
  } state_e;

  state_e state_q;

  // ---- which commands count: rules R2, R3 and R8

  tiara_card_command_t command_q;
  logic [CardChannels-1:0][31:0] newest_q;
  logic [31:0] harvest_q;  // the last harvest's number
  logic [ChannelBits-1:0] channel;
  logic in_table, is_kind, is_new, applies;

  assign channel  = command_q.channel[ChannelBits-1:0];
  assign in_table = (command_q.slot >> (BucketBits + 2)) == '0;
  assign is_new   = command_q.epoch == epoch_i && command_q.channel < 8'(CardChannels)
      && $signed(command_q.number - newest_q[channel]) > 0;
  assign applies  = is_new && is_kind;

  always_comb begin
    unique case (command_q.kind)
      CardKindInstall, CardKindRemove: is_kind = in_table;
      CardKindHarvest: is_kind = command_q.harvest == harvest_q || command_q.harvest == harvest_q + 32'd1;
      default: is_kind = 1'b0;
    endcase
  end

  assign s_axis_cmd_tready = state_q == StIdle;
  assign dropped_o = state_q == StCheck && !applies;

  // ---- the memory

  logic [ClearBits:0] clear_q;  // bursts of zeros; the first bit: all are done
  logic [7:0] beat_q;
  logic [AddrBits-1:0] clear_addr, slot_addr;
  logic clearing, aw_done_q, w_done_q, written;
  tiara_card_entry_t [1:0] read;
  tiara_card_entry_t old;
  logic holds;

  function automatic logic [AddrBits-1:0] address(logic [31:0] port, logic [31:0] offset);
    return AddrBits'(({32'b0, port} << PortShift) | {32'b0, offset});
  endfunction

  logic [31:0] clear_at;
  assign clear_at   = 32'(clear_q);
  assign clear_addr = address(clear_at >> (PortBytesBits - BurstBits),
                              (clear_at << BurstBits) & (32'(2) ** PortBytesBits - 32'd1));
  // Bucket b is on port b % Ports at (b / Ports) * 64; a beat is half of it.
  assign slot_addr  = address((command_q.slot >> 2) & 32'(Ports - 1),
                              (command_q.slot >> (2 + PortBits) << 6) | {26'b0, command_q.slot[1], 5'b0});

  assign clearing      = state_q == StClear || state_q == StCleared;
  assign m_axi_awvalid = (state_q == StClear || state_q == StWrite) && !aw_done_q;
  assign m_axi_awaddr  = clearing ? clear_addr : slot_addr;
  assign m_axi_awlen   = clearing ? 8'(BurstBeats - 1) : 8'd0;
  assign m_axi_wvalid  = (state_q == StClear || state_q == StWrite) && !w_done_q;
  assign m_axi_wdata   = (command_q.kind == CardKindInstall && !clearing) ? {2{command_q.entry}} : '0;
  assign m_axi_wstrb   = clearing ? '1 : command_q.slot[0] ? 32'hffff_0000 : 32'h0000_ffff;
  assign m_axi_wlast   = !clearing || beat_q == 8'(BurstBeats - 1);
  assign m_axi_bready  = state_q == StCleared || state_q == StWritten;
  assign m_axi_arvalid = state_q == StRead;
  assign m_axi_araddr  = slot_addr;
  assign m_axi_rready  = state_q == StCompare;

  assign written = (aw_done_q || m_axi_awready) && (w_done_q || (m_axi_wready && m_axi_wlast));
  assign read    = m_axi_rdata;
  assign old     = read[command_q.slot[0]];
  assign holds   = old.state != StateEmpty
      && {old.service_idx, old.client_port, old.client_addr}
      == {command_q.entry.service_idx, command_q.entry.client_port, command_q.entry.client_addr};
  assign ready_o = clear_q[ClearBits];
  assign error_o = (m_axi_bvalid && m_axi_bready && m_axi_bresp != '0)
      || (m_axi_rvalid && m_axi_rready && m_axi_rresp != '0);

  // ---- answers: a removal's before the harvest's lines; rule R9

  tiara_card_answer_t answer, line_answer;
  logic [7:0] removed_q;
  logic [31:0] lines_q;  // of the harvest that is reported, so far
  logic [Pipes-1:0][15:0] fence_q, past_fence;
  tiara_card_command_t harvesting_q;
  logic answer_valid, answer_ready, passed;

  always_comb begin
    answer = '0;
    answer.kind    = CardKindRemoved;
    answer.channel = command_q.channel;
    answer.epoch   = epoch_i;
    answer.number  = command_q.number;
    answer.slot    = command_q.slot;
    answer.seen[0] = 64'(removed_q);
    line_answer = '0;
    line_answer.kind    = line_end_i ? CardKindHarvestEnd : CardKindHarvested;
    line_answer.channel = harvesting_q.channel;
    line_answer.epoch   = epoch_i;
    line_answer.number  = harvesting_q.number;
    line_answer.harvest = harvesting_q.harvest;
    line_answer.slot    = line_end_i ? lines_q : line_slot_i;
    if (!line_end_i) line_answer.seen = line_bits_i;
  end

  assign answer_valid = state_q == StAnswer || line_valid_i;
  assign line_ready_o = answer_ready && state_q != StAnswer;

  tiara_skid #(
    .Width(256)
  ) u_answers (
    .clk_i,
    .rst_ni,
    .s_valid_i(answer_valid),
    .s_ready_o(answer_ready),
    .s_data_i (state_q == StAnswer ? answer : line_answer),
    .m_valid_o(m_axis_ans_tvalid),
    .m_ready_i(m_axis_ans_tready),
    .m_data_o (m_axis_ans_tdata)
  );

  assign query_valid_o   = state_q == StQuery;
  assign query_slot_o    = command_q.slot;
  assign harvest_valid_o = state_q == StHarvest;
  assign harvest_swap_o  = command_q.harvest != harvest_q;

  always_comb begin
    passed = 1'b1;
    for (int unsigned i = 0; i < Pipes; i++) begin
      past_fence[i] = ended_i[i] - fence_q[i];
      passed &= !past_fence[i][15];
    end
  end

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StClear: begin
        if (m_axi_wvalid && m_axi_wready) beat_q <= beat_q + 8'd1;
        if (written) state_q <= StCleared;
      end
      StCleared:
      if (m_axi_bvalid) begin
        beat_q  <= '0;
        // A burst that failed is written again: an entry of before must not come back.
        if (m_axi_bresp == '0) clear_q <= clear_q + (ClearBits + 1)'(1);
        state_q <= (m_axi_bresp == '0 && clear_at == 32'(2) ** ClearBits - 32'd1) ? StIdle : StClear;
      end
      StIdle:
      if (s_axis_cmd_tvalid) begin
        command_q <= s_axis_cmd_tdata;
        state_q   <= StCheck;
      end
      StCheck: begin
        if (applies) newest_q[channel] <= command_q.number;
        if (!applies) state_q <= StIdle;
        else if (command_q.kind == CardKindInstall) state_q <= StWrite;
        else if (command_q.kind == CardKindRemove) state_q <= StRead;
        else state_q <= StHarvest;
      end
      StHarvest:
      if (harvest_ready_i) begin
        lines_q      <= '0;
        harvesting_q <= command_q;
        harvest_q    <= command_q.harvest;
        state_q      <= StIdle;
      end
      StRead: if (m_axi_arready) state_q <= StCompare;
      StCompare:
      if (m_axi_rvalid) begin
        removed_q <= CardRemovedSeen;
        state_q   <= m_axi_rresp != '0 ? StIdle : holds ? StWrite : StAnswer;
      end
      StWrite: if (written) state_q <= StWritten;
      StWritten:
      if (m_axi_bvalid) begin
        fence_q <= begun_i;
        state_q <= (m_axi_bresp != '0 || command_q.kind == CardKindInstall) ? StIdle : StFence;
      end
      StFence: if (passed) state_q <= StQuery;
      StQuery: if (query_ready_i) state_q <= StQueried;
      StQueried:
      if (query_done_i) begin
        removed_q <= CardRemovedFound | (query_seen_i ? CardRemovedSeen : 8'd0);
        state_q   <= StAnswer;
      end
      StAnswer: if (answer_ready) state_q <= StIdle;
      default: state_q <= StIdle;
    endcase
    if (line_valid_i && line_ready_o && !line_end_i) lines_q <= lines_q + 32'd1;
    aw_done_q <= (m_axi_awvalid || aw_done_q) && (aw_done_q || m_axi_awready) && !written;
    w_done_q  <= (m_axi_wvalid || w_done_q) && (w_done_q || (m_axi_wready && m_axi_wlast)) && !written;
    if (!rst_ni) begin
      state_q   <= StClear;
      clear_q   <= '0;
      beat_q    <= '0;
      aw_done_q <= 1'b0;
      w_done_q  <= 1'b0;
      newest_q  <= '0;
      harvest_q <= '0;
    end
  end

  logic unused_bits;
  assign unused_bits = ^{old, command_q, harvesting_q, past_fence};

  // ---- properties

  logic past_q, aw_waits_q, w_waits_q, ar_waits_q;
  logic [AddrBits+7:0] aw_q;
  logic [288:0] w_q;
  logic [AddrBits-1:0] ar_q;

  always_ff @(posedge clk_i) begin
    past_q     <= rst_ni;
    aw_waits_q <= m_axi_awvalid && !m_axi_awready;
    w_waits_q  <= m_axi_wvalid && !m_axi_wready;
    ar_waits_q <= m_axi_arvalid && !m_axi_arready;
    aw_q       <= {m_axi_awaddr, m_axi_awlen};
    w_q        <= {m_axi_wdata, m_axi_wstrb, m_axi_wlast};
    ar_q       <= m_axi_araddr;
    if (past_q && rst_ni) begin
      // 1. What AXI offers stays as it is until it is taken.
      p_1 : assert (!aw_waits_q || (m_axi_awvalid && {m_axi_awaddr, m_axi_awlen} == aw_q));
      p_2 : assert (!w_waits_q || (m_axi_wvalid && {m_axi_wdata, m_axi_wstrb, m_axi_wlast} == w_q));
      p_3 : assert (!ar_waits_q || (m_axi_arvalid && m_axi_araddr == ar_q));
      // 4. No command is taken before the table is empty, and nothing but the clearing writes till then.
      p_4 : assert (ready_o != clearing);
    end
    c_1 : cover (past_q && rst_ni && dropped_o);
    c_2 : cover (past_q && rst_ni && state_q == StFence && !passed);
    c_3 : cover (past_q && rst_ni && state_q == StAnswer && line_valid_i);
    c_4 : cover (past_q && rst_ni && aw_done_q && !w_done_q);
  end

endmodule
