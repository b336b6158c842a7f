// SPDX-License-Identifier: Apache-2.0
// Lets a stream's packets in or holds them, whole ones only: see fpga/doc/tiara_gate.md.

module tiara_gate (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic hold_i,
  output logic open_o,  // a packet is half in
  input  logic s_tvalid_i,
  output logic s_tready_o,
  input  logic s_tlast_i,
  output logic m_tvalid_o,
  input  logic m_tready_i
);

  // An offered beat is not taken back when hold_i comes.
  logic half_q, offered_q, pass;

  assign pass = !hold_i || half_q || offered_q;
  assign m_tvalid_o = s_tvalid_i && pass;
  assign s_tready_o = m_tready_i && pass;
  assign open_o = half_q || offered_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      half_q <= 1'b0;
      offered_q <= 1'b0;
    end else begin
      offered_q <= m_tvalid_o && !m_tready_i;
      if (m_tvalid_o && m_tready_i) half_q <= !s_tlast_i;
    end
  end

  // Properties

  logic sound_q, waits_q;

  always_ff @(posedge clk_i) begin
    sound_q <= rst_ni;
    waits_q <= m_tvalid_o && !m_tready_i;
    if (rst_ni && sound_q) begin
      // P1 An offered beat stays until it is taken, as long as its source keeps it.
      a_p1 : assert (!waits_q || !s_tvalid_i || m_tvalid_o);
      // P2 Both sides see the same beats.
      a_p2 : assert ((s_tvalid_i && s_tready_o) == (m_tvalid_o && m_tready_i));
      c_held : cover (hold_i && s_tvalid_i && !m_tvalid_o);
      c_half : cover (hold_i && half_q);
    end
  end

endmodule
