// SPDX-License-Identifier: Apache-2.0
// One AXI4 read port of the lookup: reads buckets, compares their four keys, keeps what it found until the
// order wants it. See fpga/doc/tiara_lookup.md.

module tiara_lookup_port
  import tiara_layout_pkg::*;
#(
  parameter int unsigned Outstanding = 64,
  parameter int unsigned TagBits = 8,
  parameter int unsigned AddrBits = 28,
  parameter int unsigned QueueDepth = 16,
  localparam int unsigned IdBits = (Outstanding > 1) ? $clog2(Outstanding) : 1
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  // Buckets to read: part 0 for first buckets, part 1 for second ones.
  input  logic [1:0]               read_valid_i,
  output logic [1:0]               read_ready_o,
  input  logic [TagBits-1:0]       read_tag_i,
  input  logic [63:0]              read_key_i,
  input  logic [1:0][AddrBits-1:0] read_addr_i,
  // A bucket was compared.
  output logic                     done_valid_o,
  output logic [TagBits-1:0]       done_tag_o,
  output logic                     done_part_o,
  // What was found, by part.
  input  logic [TagBits-1:0]       found_tag_i,
  output logic [1:0]               found_hit_o,
  output logic [1:0][1:0]          found_place_o,
  output logic [1:0][31:0]         found_line_o,
  // AXI4, 256 bits.
  output logic                     m_axi_arvalid,
  input  logic                     m_axi_arready,
  output logic [AddrBits-1:0]      m_axi_araddr,
  output logic [IdBits-1:0]        m_axi_arid,
  input  logic                     m_axi_rvalid,
  output logic                     m_axi_rready,
  input  logic [255:0]             m_axi_rdata,
  input  logic [IdBits-1:0]        m_axi_rid,
  input  logic [1:0]               m_axi_rresp,
  input  logic                     m_axi_rlast
);

  typedef struct packed {
    logic [TagBits-1:0]  tag;
    logic [63:0]         key;
    logic [AddrBits-1:0] addr;
  } wish_t;

  typedef struct packed {
    logic               part;
    logic [TagBits-1:0] tag;
    logic [63:0]        key;
  } context_t;

  typedef struct packed {
    logic        hit;
    logic [1:0]  place;
    logic [31:0] line;
  } found_t;

  // ---- wishes wait, the two parts take turns

  wish_t [1:0] wish;
  wish_t chosen;
  logic [1:0] wish_valid, wish_ready;
  logic turn_q, part, issue, id_valid, held_turn;
  logic [IdBits-1:0] id;

  for (genvar g = 0; g < 2; g++) begin : gen_queue
    logic [$clog2(QueueDepth):0] unused_used;
    wish_t wished;
    assign wished = '{tag: read_tag_i, key: read_key_i, addr: read_addr_i[g]};
    tiara_fifo #(
      .Width($bits(wish_t)),
      .Depth(QueueDepth)
    ) u_queue (
      .clk_i,
      .rst_ni,
      .s_valid_i(read_valid_i[g]),
      .s_ready_o(read_ready_o[g]),
      .s_data_i (wished),
      .m_valid_o(wish_valid[g]),
      .m_ready_i(wish_ready[g]),
      .m_data_o (wish[g]),
      .used_o   (unused_used)
    );
  end

  assign held_turn = wish_valid[turn_q];
  assign part = held_turn ? turn_q : !turn_q;
  assign issue = (wish_valid != '0) && id_valid && (!m_axi_arvalid || m_axi_arready);
  assign wish_ready = {issue && part, issue && !part};
  assign chosen = wish[part];

  // ---- addresses go out, each with an ID of its own

  context_t contexts[2**IdBits];
  context_t context_q;
  logic give;
  logic [IdBits:0] unused_held;

  tiara_id_pool #(
    .Ids(Outstanding)
  ) u_pool (
    .clk_i,
    .rst_ni,
    .take_valid_o(id_valid),
    .take_ready_i(issue),
    .take_id_o   (id),
    .give_valid_i(give),
    .give_id_i   (m_axi_rid),
    .held_o      (unused_held)
  );

  always_ff @(posedge clk_i) begin
    if (issue) begin
      m_axi_araddr <= chosen.addr;
      m_axi_arid   <= id;
      contexts[id] <= '{part: part, tag: chosen.tag, key: chosen.key};
      turn_q       <= !part;
    end
    m_axi_arvalid <= issue || (m_axi_arvalid && !m_axi_arready);
    if (!rst_ni) begin
      m_axi_arvalid <= 1'b0;
      turn_q        <= 1'b0;
    end
  end

  // ---- beats come back, in whatever order of IDs; there is always room

  logic beat_valid_q, beat_last_q, beat_good_q;
  logic [IdBits-1:0] beat_id_q;
  tiara_card_entry_t [1:0] beat_q;

  assign m_axi_rready = 1'b1;
  assign give = m_axi_rvalid && m_axi_rlast;

  always_ff @(posedge clk_i) begin
    beat_valid_q <= m_axi_rvalid && rst_ni;
    beat_last_q  <= m_axi_rlast;
    beat_good_q  <= m_axi_rresp == 2'b00;
    beat_id_q    <= m_axi_rid;
    beat_q       <= m_axi_rdata;
    context_q    <= contexts[m_axi_rid];
  end

  // ---- compare: the exact key, and the state; a bad response holds nothing

  found_t firsts[2**IdBits];  // of the first beat, until the second is there
  found_t found, first, both;
  logic [1:0] same;

  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      same[i] = beat_good_q && beat_q[i].state == StateEstablished
          && {beat_q[i].service_idx, beat_q[i].client_port, beat_q[i].client_addr} == context_q.key;
    end
    found.hit   = same != '0;
    found.place = {beat_last_q, !same[0]};
    found.line  = same[0] ? beat_q[0].backend_line : beat_q[1].backend_line;
  end

  assign first = firsts[beat_id_q];
  assign both  = first.hit ? first : found;

  found_t kept_0[2**TagBits];
  found_t kept_1[2**TagBits];

  assign done_valid_o = beat_valid_q && beat_last_q;
  assign done_tag_o   = context_q.tag;
  assign done_part_o  = context_q.part;

  always_ff @(posedge clk_i) begin
    if (beat_valid_q && !beat_last_q) firsts[beat_id_q] <= found;
    if (done_valid_o && !done_part_o) kept_0[done_tag_o] <= both;
    if (done_valid_o && done_part_o) kept_1[done_tag_o] <= both;
  end

  found_t [1:0] kept;
  assign kept[0] = kept_0[found_tag_i];
  assign kept[1] = kept_1[found_tag_i];

  for (genvar g = 0; g < 2; g++) begin : gen_found
    assign found_hit_o[g]   = kept[g].hit;
    assign found_place_o[g] = kept[g].place;
    assign found_line_o[g]  = kept[g].line;
  end

  logic [1:0] unused_entry;
  assign unused_entry = {^{beat_q[0].flags, beat_q[0].generation}, ^{beat_q[1].flags, beat_q[1].generation}};

  // ---- properties

  logic past_q, waits_q;
  logic [AddrBits+IdBits-1:0] waiting_q;
  logic [2**IdBits-1:0] half_q;  // the first beat is there

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= m_axi_arvalid && !m_axi_arready;
    waiting_q <= {m_axi_araddr, m_axi_arid};
    if (m_axi_rvalid) half_q[m_axi_rid] <= !m_axi_rlast;
    if (!rst_ni) half_q <= '0;
    if (past_q && rst_ni) begin
      // 1. An address stays as it is until it is taken.
      p_1 : assert (!waits_q || (m_axi_arvalid && {m_axi_araddr, m_axi_arid} == waiting_q));
      // 2. Two beats a bucket: a rule for the memory.
      p_2 : assert (!m_axi_rvalid || m_axi_rlast == half_q[m_axi_rid]);
    end
    c_1 : cover (past_q && rst_ni && !id_valid && wish_valid != '0);
    c_2 : cover (past_q && rst_ni && done_valid_o && first.hit);
    c_3 : cover (past_q && rst_ni && (&wish_valid) && issue);
  end

endmodule
