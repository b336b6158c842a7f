// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite to one write and one read at a time: see fpga/doc/tiara_axil.md.

module tiara_axil #(
  parameter int unsigned AddressBits = 12
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,

  input  logic                   s_axil_awvalid,
  output logic                   s_axil_awready,
  input  logic [AddressBits-1:0] s_axil_awaddr,
  input  logic                   s_axil_wvalid,
  output logic                   s_axil_wready,
  input  logic [31:0]            s_axil_wdata,
  input  logic [3:0]             s_axil_wstrb,
  output logic                   s_axil_bvalid,
  input  logic                   s_axil_bready,
  output logic [1:0]             s_axil_bresp,
  input  logic                   s_axil_arvalid,
  output logic                   s_axil_arready,
  input  logic [AddressBits-1:0] s_axil_araddr,
  output logic                   s_axil_rvalid,
  input  logic                   s_axil_rready,
  output logic [31:0]            s_axil_rdata,
  output logic [1:0]             s_axil_rresp,

  // Held until done_i, which comes in the same cycle or later; error_i with it.
  output logic                   write_valid_o,
  output logic [AddressBits-1:0] write_addr_o,
  output logic [31:0]            write_data_o,
  output logic                   write_whole_o,  // all four bytes
  input  logic                   write_done_i,
  input  logic                   write_error_i,

  // Answered in the same cycle.
  output logic                   read_valid_o,
  output logic [AddressBits-1:0] read_addr_o,
  input  logic [31:0]            read_data_i,
  input  logic                   read_error_i
);

  localparam logic [1:0] RespOkay = 2'b00;
  localparam logic [1:0] RespSlverr = 2'b10;

  if (AddressBits < 3) begin : gen_no_address_bits
    $error("AddressBits must be 3 or more");
  end

  // An address and its data are taken together, once the answer before has gone.
  assign write_valid_o = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  assign write_addr_o = s_axil_awaddr;
  assign write_data_o = s_axil_wdata;
  assign write_whole_o = &s_axil_wstrb;
  assign s_axil_awready = write_valid_o && write_done_i;
  assign s_axil_wready = s_axil_awready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) s_axil_bvalid <= 1'b0;
    else if (s_axil_awready) s_axil_bvalid <= 1'b1;
    else if (s_axil_bready) s_axil_bvalid <= 1'b0;
    if (s_axil_awready) s_axil_bresp <= write_error_i ? RespSlverr : RespOkay;
  end

  assign read_valid_o = s_axil_arvalid && !s_axil_rvalid;
  assign read_addr_o = s_axil_araddr;
  assign s_axil_arready = read_valid_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) s_axil_rvalid <= 1'b0;
    else if (s_axil_arready) s_axil_rvalid <= 1'b1;
    else if (s_axil_rready) s_axil_rvalid <= 1'b0;
    if (s_axil_arready) begin
      s_axil_rdata <= read_error_i ? 32'd0 : read_data_i;
      s_axil_rresp <= read_error_i ? RespSlverr : RespOkay;
    end
  end

  // Properties

  logic       b_waits_q, r_waits_q, sound_q;
  logic [1:0] bresp_q, rresp_q;
  logic [31:0] rdata_q;

  always_ff @(posedge clk_i) begin
    sound_q <= rst_ni;
    b_waits_q <= s_axil_bvalid && !s_axil_bready;
    r_waits_q <= s_axil_rvalid && !s_axil_rready;
    bresp_q <= s_axil_bresp;
    rresp_q <= s_axil_rresp;
    rdata_q <= s_axil_rdata;
    if (rst_ni && sound_q) begin
      // P1 An answer stays as it is until it is taken.
      a_p1_b : assert (!b_waits_q || (s_axil_bvalid && s_axil_bresp == bresp_q));
      a_p1_r : assert (!r_waits_q || (s_axil_rvalid && s_axil_rresp == rresp_q &&
                                      s_axil_rdata == rdata_q));
      // P2 An address is taken only with its data.
      a_p2 : assert (s_axil_awready == s_axil_wready && (!s_axil_awready || s_axil_wvalid));
      c_error : cover (s_axil_bvalid && s_axil_bresp == RespSlverr);
      c_b_waits : cover (b_waits_q);
      c_r_waits : cover (r_waits_q);
    end
  end

endmodule
