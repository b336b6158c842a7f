// SPDX-License-Identifier: Apache-2.0
// Which slots a packet used: two banks of a bit a slot, one that packets set and one that a harvest
// reports. See fpga/doc/tiara_seen.md.

module tiara_seen #(
  parameter int unsigned SlotBits = 24,
  parameter int unsigned PlaceBits = 7,  // of a slot in its line: 128 slots fill an answer
  localparam int unsigned LineSlots = 2 ** PlaceBits
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         ready_o,  // both banks are clear after reset
  // A packet used a slot; never waits.
  input  logic         set_valid_i,
  input  logic [31:0]  set_slot_i,
  // Is the bit set in either bank? Waits for a cycle without a packet.
  input  logic         query_valid_i,
  output logic         query_ready_o,
  input  logic [31:0]  query_slot_i,
  output logic         query_done_o,
  output logic         query_seen_o,
  // Swap (or not) and report the bank that packets do not set.
  input  logic         harvest_valid_i,
  output logic         harvest_ready_o,
  input  logic         harvest_swap_i,
  // The report: lines with a bit set, and one with end and without bits.
  output logic         line_valid_o,
  input  logic         line_ready_i,
  output logic [31:0]  line_slot_o,
  output logic [LineSlots-1:0] line_bits_o,
  output logic         line_end_o
);

  localparam int unsigned LineBits = SlotBits - PlaceBits;

  if (PlaceBits == 0 || SlotBits <= PlaceBits || SlotBits > 31) begin : gen_bad_slots
    $error("tiara_seen: SlotBits is not within PlaceBits + 1 and 31, or PlaceBits is 0");
  end

  typedef enum logic [2:0] {
    StReset,   // clears both banks
    StIdle,
    StClear,   // clears the bank that will be set
    StSwap,    // lets the last packet into the bank that was set
    StRead,
    StLook,
    StReport,
    StEnd
  } state_e;

  state_e state_q;
  logic bank_q;  // packets set this one
  logic [LineBits-1:0] line_q;
  logic last_line;

  assign last_line = line_q == '1;
  assign ready_o = state_q != StReset;
  assign harvest_ready_o = state_q == StIdle;

  // ---- packets and queries: read a line, a cycle later write it with its bit

  logic query;
  logic [31:0] slot;
  logic set_q, query_q, set_bank_q;
  logic [LineBits-1:0] set_line_q;
  logic [PlaceBits-1:0] set_bit_q;
  logic [1:0][LineSlots-1:0] rd_data;
  logic [LineSlots-1:0] with_bit;

  assign query_ready_o = ready_o && !set_valid_i;
  assign query = query_valid_i && query_ready_o;
  assign slot  = set_valid_i ? set_slot_i : query_slot_i;

  always_ff @(posedge clk_i) begin
    set_q      <= set_valid_i && ready_o;
    query_q    <= query;
    set_bank_q <= bank_q;
    set_line_q <= slot[SlotBits-1:PlaceBits];
    set_bit_q  <= slot[PlaceBits-1:0];
    if (!rst_ni) begin
      set_q   <= 1'b0;
      query_q <= 1'b0;
    end
  end

  assign with_bit     = rd_data[set_bank_q] | (LineSlots'(1) << set_bit_q);
  assign query_done_o = query_q;
  assign query_seen_o = rd_data[0][set_bit_q] || rd_data[1][set_bit_q];

  // ---- the banks

  logic reading;
  assign reading = state_q == StRead && !query;

  for (genvar g = 0; g < 2; g++) begin : gen_bank
    logic clear, set, rd_mine;
    assign clear = state_q == StReset || (state_q == StClear && bank_q != 1'(g));
    assign set = set_q && set_bank_q == 1'(g);
    assign rd_mine = query || bank_q == 1'(g);
    tiara_ram #(
      .Width   (LineSlots),
      .AddrBits(LineBits)
    ) u_bits (
      .clk_i,
      .rd_addr_i (rd_mine ? slot[SlotBits-1:PlaceBits] : line_q),
      .rd_data_o (rd_data[g]),
      .wr_valid_i(clear || set),
      .wr_addr_i (clear ? line_q : set_line_q),
      .wr_data_i (clear ? '0 : with_bit)
    );
  end

  // ---- the harvest

  assign line_valid_o = state_q == StReport || state_q == StEnd;
  assign line_end_o   = state_q == StEnd;
  assign line_slot_o  = {{(32 - SlotBits){1'b0}}, line_q, {PlaceBits{1'b0}}};

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StReset: begin
        line_q <= line_q + LineBits'(1);
        if (last_line) state_q <= StIdle;
      end
      StIdle: if (harvest_valid_i) state_q <= harvest_swap_i ? StClear : StRead;
      StClear: begin
        line_q <= line_q + LineBits'(1);
        if (last_line) begin
          state_q <= StSwap;
          bank_q  <= !bank_q;
        end
      end
      StSwap: state_q <= StRead;
      StRead: if (reading) state_q <= StLook;
      StLook: begin
        line_bits_o <= rd_data[!bank_q];
        if (rd_data[!bank_q] != '0) begin
          state_q <= StReport;
        end else begin
          line_q  <= line_q + LineBits'(1);
          state_q <= last_line ? StEnd : StRead;
        end
      end
      StReport:
      if (line_ready_i) begin
        line_q  <= line_q + LineBits'(1);
        state_q <= last_line ? StEnd : StRead;
      end
      StEnd: if (line_ready_i) state_q <= StIdle;
    endcase
    if (!rst_ni) begin
      state_q <= StReset;
      bank_q  <= 1'b0;
      line_q  <= '0;
    end
  end

  logic unused_slot;
  assign unused_slot = ^slot;

  // ---- properties

  logic past_q, waits_q;
  logic [LineSlots+32:0] waiting_q;

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= line_valid_o && !line_ready_i;
    waiting_q <= {line_end_o, line_slot_o, line_bits_o};
    if (past_q && rst_ni) begin
      // 1. A line stays as it is until it is taken.
      p_1 : assert (!waits_q || (line_valid_o && {line_end_o, line_slot_o, line_bits_o} == waiting_q));
      // 2. The bank that is cleared is not the one that is set.
      p_2 : assert (state_q != StClear || !set_q || set_bank_q == bank_q);
      // 3. A harvest begins and ends with the first line.
      p_3 : assert (state_q != StIdle || line_q == '0);
      // 4. Only what is inside the table is used: a rule for who tells.
      p_4 : assert (!set_valid_i || {1'b0, set_slot_i} < 33'(2) ** SlotBits);
    end
    c_1 : cover (past_q && rst_ni && state_q == StSwap && set_q);
    c_2 : cover (past_q && rst_ni && query_valid_i && set_valid_i);
    c_3 : cover (past_q && rst_ni && state_q == StReport && !line_ready_i);
  end

endmodule
