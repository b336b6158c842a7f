// SPDX-License-Identifier: Apache-2.0
// tiara_totals: what is read of an index is the sum of all that was added to it before, and 0 after a reset.

module tiara_totals_formal (
  input logic        clk_i,
  input logic        rst_ni,
  input logic        add_valid_i,
  input logic        add_idx_i,
  input logic [15:0] add_bytes_i,
  input logic        read_valid_i,
  input logic        read_idx_i,
  input logic        mark_i
);

  logic ready, read_ready, read_done;
  logic [63:0] read_pkts, read_bytes;

  tiara_totals #(.IndexBits(1)) u_dut (
    .clk_i, .rst_ni, .ready_o(ready), .add_valid_i, .add_idx_i, .add_bytes_i,
    .read_valid_i, .read_ready_o(read_ready), .read_idx_i,
    .read_done_o(read_done), .read_pkts_o(read_pkts), .read_bytes_o(read_bytes)
  );

  // One index, and what was added to it.
  logic begun_q = 1'b0;
  logic mark_q, read_idx_q;
  logic [63:0] pkts_q, bytes_q;
  logic adding;

  assign adding = u_dut.add_q && u_dut.idx_q == mark_q;

  always_ff @(posedge clk_i) begin
    begun_q    <= 1'b1;
    read_idx_q <= read_idx_i;
    if (!begun_q) mark_q <= mark_i;
    if (add_valid_i && ready && add_idx_i == mark_q) begin
      pkts_q  <= pkts_q + 64'd1;
      bytes_q <= bytes_q + 64'(add_bytes_i);
    end
    if (!rst_ni) begin
      pkts_q  <= '0;
      bytes_q <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    a_reset : assume (begun_q || !rst_ni);
    // Fewer values, so that the solver is done in seconds.
    a_bytes : assume (add_bytes_i < 16'd4);
    if (begun_q && rst_ni) begin
      // 1. What is read is what was added.
      p_1 : assert (!read_done || read_idx_q != mark_q || (read_pkts == pkts_q && read_bytes == bytes_q));
      // 2. What is added in this cycle was read right, and all else is stored.
      p_2 : assert (!adding || (u_dut.more.pkts == pkts_q && u_dut.more.bytes == bytes_q));
      p_3 : assert (!ready || adding || u_dut.u_totals.store[mark_q] == {bytes_q, pkts_q});
      // 4. Until all are 0 nothing counts.
      p_4 : assert (ready || (pkts_q == '0 && bytes_q == '0 && !u_dut.add_q && !u_dut.read_q));
      i_1 : assert (ready || u_dut.clear_q <= 2'(mark_q) || u_dut.u_totals.store[mark_q] == '0);
      i_2 : assert (u_dut.clear_q <= 2'd2);
      i_3 : assert (!read_done || read_idx_q == u_dut.idx_q);
      c_1 : cover (read_done && read_idx_q == mark_q && pkts_q == 64'd3);
      c_2 : cover (adding && add_valid_i && add_idx_i == mark_q && pkts_q == 64'd2);
      c_3 : cover (read_valid_i && !read_ready && ready);
    end
  end

endmodule
