// SPDX-License-Identifier: Apache-2.0
// tiara_command against rules R2, R3, R8 and R9 of docs/design/0016: everything that it does belongs to a
// command of this epoch that is newer than its channel's newest, and is that command's.

module tiara_command_formal
  import tiara_layout_pkg::*;
#(
  parameter int unsigned Ports = 2,
  parameter int unsigned BucketBits = 2
) (
  input logic         clk_i,
  input logic         rst_ni,
  input logic [15:0]  epoch_i,
  input logic         cmd_valid_i,
  input logic [255:0] cmd_data_i,
  input logic         ans_ready_i,
  input logic [15:0]  begun_i,
  input logic [15:0]  ended_i,
  input logic         query_ready_i,
  input logic         query_done_i,
  input logic         query_seen_i,
  input logic         harvest_ready_i,
  input logic         line_valid_i,
  input logic [31:0]  line_slot_i,
  input logic [127:0] line_bits_i,
  input logic         line_end_i,
  input logic         awready_i,
  input logic         wready_i,
  input logic         bvalid_i,
  input logic [1:0]   bresp_i,
  input logic         arready_i,
  input logic         rvalid_i,
  input logic [255:0] rdata_i,
  input logic [1:0]   rresp_i
);

  logic ready, dropped, error, cmd_ready, ans_valid, query_valid, harvest_valid, harvest_swap, line_ready;
  logic awvalid, wvalid, wlast, bready, arvalid, rready;
  logic [31:0] query_slot, wstrb;
  logic [7:0] awaddr, araddr, awlen;
  logic [255:0] wdata, ans_data;

  tiara_command #(.Ports(Ports), .BucketBits(BucketBits), .PortShift(7)) u_dut (
    .clk_i, .rst_ni, .epoch_i, .ready_o(ready), .dropped_o(dropped), .error_o(error),
    .s_axis_cmd_tvalid(cmd_valid_i), .s_axis_cmd_tready(cmd_ready), .s_axis_cmd_tdata(cmd_data_i),
    .m_axis_ans_tvalid(ans_valid), .m_axis_ans_tready(ans_ready_i), .m_axis_ans_tdata(ans_data),
    .begun_i, .ended_i,
    .query_valid_o(query_valid), .query_ready_i, .query_slot_o(query_slot), .query_done_i, .query_seen_i,
    .harvest_valid_o(harvest_valid), .harvest_ready_i, .harvest_swap_o(harvest_swap),
    .line_valid_i, .line_ready_o(line_ready), .line_slot_i, .line_bits_i, .line_end_i,
    .m_axi_awvalid(awvalid), .m_axi_awready(awready_i), .m_axi_awaddr(awaddr), .m_axi_awlen(awlen),
    .m_axi_wvalid(wvalid), .m_axi_wready(wready_i), .m_axi_wdata(wdata), .m_axi_wstrb(wstrb),
    .m_axi_wlast(wlast), .m_axi_bvalid(bvalid_i), .m_axi_bready(bready), .m_axi_bresp(bresp_i),
    .m_axi_arvalid(arvalid), .m_axi_arready(arready_i), .m_axi_araddr(araddr),
    .m_axi_rvalid(rvalid_i), .m_axi_rready(rready), .m_axi_rdata(rdata_i), .m_axi_rresp(rresp_i)
  );

  // u_dut's states; a name of an enumeration is not reached from here.
  localparam logic [3:0] StClear = 4'd0;
  localparam logic [3:0] StCleared = 4'd1;
  localparam logic [3:0] StIdle = 4'd2;
  localparam logic [3:0] StCheck = 4'd3;
  localparam logic [3:0] StHarvest = 4'd4;
  localparam logic [3:0] StRead = 4'd5;
  localparam logic [3:0] StCompare = 4'd6;
  localparam logic [3:0] StWrite = 4'd7;
  localparam logic [3:0] StWritten = 4'd8;
  localparam logic [3:0] StFence = 4'd9;
  localparam logic [3:0] StQuery = 4'd10;
  localparam logic [3:0] StQueried = 4'd11;
  localparam logic [3:0] StAnswer = 4'd12;

  localparam logic [127:0] Entry = 128'h00_01_0000_00000003_0000_0000_00000001;

  // ---- what the rules say about the command that was taken last

  logic begun_q = 1'b0;
  tiara_card_command_t cmd, cmd_q;
  logic [15:0] epoch_q;
  logic [CardChannels-1:0][31:0] newest_q;
  logic [31:0] harvest_q;
  logic fresh_q;    // it was taken a cycle ago
  logic live_q;     // it applies, and has not been answered
  logic wrote_q;    // its write was answered well
  logic looked_q;   // its slot was read
  logic held_q;     // and held its key
  logic seen_q, known_q;
  logic applies;

  assign cmd = cmd_data_i;
  assign applies = cmd.epoch == epoch_i && cmd.channel < 8'd16
      && $signed(cmd.number - newest_q[cmd.channel[3:0]]) > 0
      && (((cmd.kind == CardKindInstall || cmd.kind == CardKindRemove) && cmd.slot < 32'd16)
          || (cmd.kind == CardKindHarvest
              && (cmd.harvest == harvest_q || cmd.harvest == harvest_q + 32'd1)));

  function automatic logic is_key(tiara_card_entry_t entry, tiara_card_entry_t other);
    return entry.state != 8'd0 && entry.client_addr == other.client_addr
        && entry.client_port == other.client_port && entry.service_idx == other.service_idx;
  endfunction

  tiara_card_answer_t pushed;
  logic push, is_line;
  assign pushed  = u_dut.u_answers.s_data_i;
  assign push    = u_dut.answer_valid && u_dut.answer_ready;
  assign is_line = line_valid_i && line_ready;

  always_ff @(posedge clk_i) begin
    begun_q <= 1'b1;
    epoch_q <= epoch_i;
    if (push && !is_line) live_q <= 1'b0;
    if (bvalid_i && bready && ready) wrote_q <= bresp_i == '0;
    if (rvalid_i && rready) begin
      looked_q <= rresp_i == '0;
      held_q   <= is_key(cmd_q.slot[0] ? rdata_i[255:128] : rdata_i[127:0], cmd_q.entry);
    end
    if (query_done_i && u_dut.state_q == StQueried) begin
      known_q <= 1'b1;
      seen_q  <= query_seen_i;
    end
    if (harvest_valid && harvest_ready_i) harvest_q <= cmd_q.harvest;
    fresh_q <= cmd_valid_i && cmd_ready;
    if (fresh_q && live_q) newest_q[cmd_q.channel[3:0]] <= cmd_q.number;
    if (cmd_valid_i && cmd_ready) begin
      cmd_q    <= cmd;
      live_q   <= applies;
      wrote_q  <= 1'b0;
      looked_q <= 1'b0;
      known_q  <= 1'b0;
    end
    if (!rst_ni) begin
      newest_q  <= '0;
      harvest_q <= '0;
      live_q    <= 1'b0;
      fresh_q   <= 1'b0;
    end
  end

  logic install, remove, harvest, checking;
  assign install = live_q && cmd_q.kind == CardKindInstall;
  assign remove  = live_q && cmd_q.kind == CardKindRemove;
  assign harvest = live_q && cmd_q.kind == CardKindHarvest;
  assign checking = u_dut.state_q == StCheck;

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    // Fewer values of what is only copied or compared, so that the solver is done in seconds.
    a_number : assume (cmd.number < 32'd8 && cmd.harvest < 32'd4 && cmd.slot < 32'd64);
    a_channel : assume (cmd.channel < 8'd2 || cmd.channel == 8'd16);
    a_entry : assume ((cmd.entry & ~128'h01_01_0003_00000003_0001_0001_00000003) == '0);
    a_memory : assume ((rdata_i & ~{2{128'h01_01_0003_00000003_0001_0001_00000003}}) == '0);
    // Covers need one way each, and are deep: fewer still.
    a_cover : assume (Ports != 1 || (cmd.number < 32'd3 && cmd.slot < 32'd2 && cmd.channel < 8'd2
        && cmd.entry == Entry && (rdata_i == '0 || rdata_i == {2{Entry}}) && cmd.harvest == 32'd1
        && epoch_i == 16'd1 && cmd.epoch < 16'd2 && line_bits_i == '0 && line_slot_i == '0
        && begun_i < 16'd2 && ended_i < 16'd2));
    a_epoch : assume (!begun_q || epoch_i == epoch_q || !rst_ni);
    if (begun_q && rst_ni) begin
      // 1. R2, R8: what is carried out applies; what it writes, reads, asks and swaps is its own.
      p_1 : assert (!ready || !(awvalid || wvalid) || install || (remove && looked_q && held_q));
      p_2 : assert (!ready || !awvalid
                    || (awaddr == {cmd_q.slot[2], cmd_q.slot[3], cmd_q.slot[1], 5'b0} && awlen == '0));
      p_3 : assert (!ready || !wvalid || (wlast && wstrb == (cmd_q.slot[0] ? 32'hffff0000 : 32'hffff)));
      p_4 : assert (!ready || !wvalid || wdata == (install ? {2{cmd_q.entry}} : 256'd0));
      p_5 : assert (!arvalid || remove);
      p_6 : assert (!harvest_valid || (harvest && harvest_swap == (cmd_q.harvest == harvest_q + 32'd1)));
      p_7 : assert (!query_valid || (remove && wrote_q && query_slot == cmd_q.slot));
      // 8. R3: what is answered applies, is answered once, and is a removal that was carried out.
      p_8 : assert (!push || is_line || (remove && looked_q && (held_q ? wrote_q && known_q : 1'b1)));
      // 9. R9: what found nothing says that its bit was set.
      p_9 : assert (!push || is_line
                    || (pushed.seen[0] == (held_q ? {62'd0, seen_q, 1'b1} : 64'd2) && pushed.seen[1] == '0
                        && pushed.number == cmd_q.number && pushed.channel == cmd_q.channel
                        && pushed.slot == cmd_q.slot && pushed.kind == CardKindRemoved));
      p_10 : assert (!push || pushed.epoch == epoch_i);
      // 11. Dropped is what does not apply.
      p_11 : assert (!dropped || !live_q);
      p_12 : assert (!checking || dropped || live_q);
      // 13. No command before the table is clear.
      p_13 : assert (ready || !(cmd_ready || arvalid || query_valid || harvest_valid));
      // What the states mean; without these the others are no inductive properties.
      i_1 : assert (u_dut.harvest_q == harvest_q);
      i_2 : assert (u_dut.newest_q == newest_q);
      i_3 : assert (checking == fresh_q && (!checking || u_dut.applies == live_q));
      i_4 : assert (u_dut.state_q == StIdle || !ready || u_dut.command_q == cmd_q);
      i_5 : assert (u_dut.state_q <= StAnswer);
      i_6 : assert (u_dut.state_q != StHarvest || harvest);
      i_7 : assert (!(u_dut.state_q == StRead || u_dut.state_q == StCompare) || remove);
      i_8 : assert (u_dut.state_q != StWrite && u_dut.state_q != StWritten || install
                    || (remove && looked_q && held_q));
      i_9 : assert (!(u_dut.state_q == StFence || u_dut.state_q == StQuery
                      || u_dut.state_q == StQueried) || (remove && looked_q && held_q && wrote_q));
      i_10 : assert (u_dut.state_q != StAnswer || (remove && looked_q
          && u_dut.removed_q == (held_q ? {6'd0, seen_q, 1'b1} : 8'd2)
          && (!held_q || (wrote_q && known_q))));
      i_13 : assert (!(install || remove) || cmd_q.slot < 32'd16);
      i_12 : assert (ready == (u_dut.state_q != StClear && u_dut.state_q != StCleared) && u_dut.clear_q <= 2'd2);
      i_11 : assert (!checking || !live_q || $signed(cmd_q.number - u_dut.newest_q[cmd_q.channel[3:0]]) > 0);
    end
    if (begun_q && rst_ni) begin
      c_1 : cover (remove && held_q && wrote_q);
      c_2 : cover (push && !is_line && !held_q);
      c_3 : cover (harvest_valid && harvest_ready_i);
      c_4 : cover (dropped && cmd_q.epoch == epoch_i && cmd_q.kind == CardKindInstall);
      c_5 : cover (bvalid_i && bready && install);
    end
  end

endmodule
