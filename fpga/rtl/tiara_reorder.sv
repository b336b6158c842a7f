// SPDX-License-Identifier: Apache-2.0
// Keeps the order of what is answered out of order: an entry waits for its Parts answers and leaves when
// all before it have left. See fpga/doc/tiara_reorder.md.

module tiara_reorder #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  parameter int unsigned Parts = 2,
  parameter int unsigned Writers = 2,
  localparam int unsigned TagBits = $clog2(Depth),
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  // In; s_tag_o names the entry to those who answer. s_done_i: nobody will answer, let it pass.
  input  logic                             s_valid_i,
  output logic                             s_ready_o,
  input  logic [Width-1:0]                 s_data_i,
  input  logic                             s_done_i,
  output logic [TagBits-1:0]               s_tag_o,
  // Answers, several a clock.
  input  logic [Writers-1:0]               done_valid_i,
  input  logic [Writers-1:0][TagBits-1:0]  done_tag_i,
  input  logic [Writers-1:0][PartBits-1:0] done_part_i,
  // Out, in the order of entry.
  output logic                             m_valid_o,
  input  logic                             m_ready_i,
  output logic [Width-1:0]                 m_data_o,
  output logic [TagBits-1:0]               m_tag_o
);

  if (Depth < 2 || Depth != 2 ** TagBits) begin : gen_bad_depth
    $error("tiara_reorder: Depth is no power of two above 1");
  end
  if (Parts == 0 || Writers == 0) begin : gen_bad_parts
    $error("tiara_reorder: Parts or Writers is 0");
  end

  logic [Width-1:0] store[Depth];
  logic [Depth-1:0][Parts-1:0] done_q, done_d;
  logic [TagBits:0] head_q, tail_q, used;
  logic push, pop;

  assign used      = tail_q - head_q;
  assign s_ready_o = used != (TagBits + 1)'(Depth);
  assign s_tag_o   = tail_q[TagBits-1:0];
  assign m_tag_o   = head_q[TagBits-1:0];
  assign m_data_o  = store[m_tag_o];
  assign m_valid_o = used != '0 && (&done_q[m_tag_o]);
  assign push      = s_valid_i && s_ready_o;
  assign pop       = m_valid_o && m_ready_i;

  always_comb begin
    done_d = done_q;
    for (int unsigned i = 0; i < Writers; i++) begin
      if (done_valid_i[i]) done_d[done_tag_i[i]][done_part_i[i]] = 1'b1;
    end
    if (push) done_d[s_tag_o] = {Parts{s_done_i}};
  end

  always_ff @(posedge clk_i) begin
    done_q <= done_d;
    if (push) store[s_tag_o] <= s_data_i;
    tail_q <= tail_q + (TagBits + 1)'(push);
    head_q <= head_q + (TagBits + 1)'(pop);
    if (!rst_ni) begin
      tail_q <= '0;
      head_q <= '0;
    end
  end

  // ---- properties

  logic past_q;
  logic waits_q;
  logic [TagBits-1:0] waiting_q;
  logic [Writers-1:0] strays;

  always_comb begin
    for (int unsigned i = 0; i < Writers; i++) begin
      strays[i] = done_valid_i[i]
          && ({1'b0, done_tag_i[i] - m_tag_o} >= used || done_q[done_tag_i[i]][done_part_i[i]]);
    end
  end

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= m_valid_o && !m_ready_i;
    waiting_q <= m_tag_o;
    if (past_q && rst_ni) begin
      // 1. Never more entries than places.
      p_1 : assert (used <= (TagBits + 1)'(Depth));
      // 2. What may leave stays until it is taken.
      p_2 : assert (!waits_q || (m_valid_o && m_tag_o == waiting_q));
      // 3. Only what is inside is answered, and each part once: a rule for who answers.
      p_3 : assert (strays == '0);
    end
    c_1 : cover (past_q && rst_ni && !s_ready_o);
    // The second entry is complete while the first waits.
    c_2 : cover (past_q && rst_ni && used > (TagBits + 1)'(1) && !m_valid_o
                 && (&done_q[m_tag_o + TagBits'(1)]));
  end

endmodule
