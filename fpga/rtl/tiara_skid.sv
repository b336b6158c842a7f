// SPDX-License-Identifier: Apache-2.0
// A stream through registers: valid, data and ready of either side come from flip-flops, one beat a
// clock. See fpga/doc/tiara_skid.md.

module tiara_skid #(
  parameter int unsigned Width = 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             s_valid_i,
  output logic             s_ready_o,
  input  logic [Width-1:0] s_data_i,
  output logic             m_valid_o,
  input  logic             m_ready_i,
  output logic [Width-1:0] m_data_o
);

  if (Width == 0) begin : gen_bad_width
    $error("tiara_skid: Width is 0");
  end

  // The second place takes the beat that comes in the cycle in which the first one is not taken.
  logic spare_valid_q;
  logic [Width-1:0] spare_q;

  assign s_ready_o = !spare_valid_q;

  always_ff @(posedge clk_i) begin
    if (m_ready_i || !m_valid_o) begin
      m_data_o  <= spare_valid_q ? spare_q : s_data_i;
      m_valid_o <= spare_valid_q || s_valid_i;
    end
    if (s_ready_o) spare_q <= s_data_i;
    spare_valid_q <= m_valid_o && !m_ready_i && (spare_valid_q || s_valid_i);
    if (!rst_ni) begin
      m_valid_o     <= 1'b0;
      spare_valid_q <= 1'b0;
    end
  end

  // ---- properties

  logic past_q;  // the cycle before was one without reset
  logic waits_q;
  logic [Width-1:0] waiting_q;

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= m_valid_o && !m_ready_i;
    waiting_q <= m_data_o;
    if (past_q && rst_ni) begin
      // 1. A beat stays as it is until it is taken.
      p_1 : assert (!waits_q || (m_valid_o && m_data_o == waiting_q));
      // 2. The second place is used only behind the first.
      p_2 : assert (!spare_valid_q || m_valid_o);
    end
    c_1 : cover (past_q && rst_ni && spare_valid_q && m_ready_i);
  end

endmodule
