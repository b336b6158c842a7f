// SPDX-License-Identifier: Apache-2.0
// The card's registers, as registers.toml describes them: see fpga/doc/tiara_regs.md.

module tiara_regs
  import tiara_card_pkg::*;
  import tiara_layout_pkg::*;
  import tiara_regs_pkg::*;
#(
  parameter int unsigned BucketBits   = 10,
  parameter int unsigned ServiceLines = 64,
  parameter int unsigned BackendLines = 256,
  parameter int unsigned Ports        = 4
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,

  input  logic                      write_valid_i,
  input  logic [RegAddressBits-1:0] write_addr_i,
  input  logic [31:0]               write_data_i,
  input  logic                      write_whole_i,
  output logic                      write_done_o,
  output logic                      write_error_o,
  input  logic                      read_valid_i,
  input  logic [RegAddressBits-1:0] read_addr_i,
  output logic [31:0]               read_data_o,
  output logic                      read_error_o,

  output logic                      reset_o,     // for one cycle
  input  logic                      busy_i,
  input  logic                      ready_i,
  input  logic [15:0]               epoch_i,

  output logic [126:0]              secret_o,
  output tiara_card_identity_t      identity_o,

  output logic                      service_write_o,  // for one cycle, with line and index
  output tiara_card_service_t       service_o,
  output logic                      backend_write_o,
  output tiara_card_backend_t       backend_o,
  output logic [31:0]               line_idx_o,

  // Held until totals_valid_i.
  output logic                      totals_read_o,
  output logic                      totals_of_backend_o,
  output logic [31:0]               totals_idx_o,
  input  logic                      totals_valid_i,
  input  logic [63:0]               totals_pkts_i,
  input  logic [63:0]               totals_bytes_i,

  output tiara_counter_e            counter_o,
  input  logic [63:0]               counter_i
);

  if (Ports == 0 || ServiceLines == 0 || BackendLines == 0 || BucketBits == 0) begin : gen_empty
    $error("Ports, ServiceLines, BackendLines and BucketBits must be 1 or more");
  end
  if ($bits(tiara_card_backend_t) != 32 * RegLineCnt) begin : gen_line
    $error("LINE must hold one line of the backend table");
  end

  localparam int unsigned WordBits = RegAddressBits - 2;

  logic [RegSecretCnt-1:0][31:0] secret_q;
  logic [31:0] address_q;
  logic [31:0] port_mac_q [RegPortMacCnt];
  logic [31:0] kernel_mac_q [RegKernelMacCnt];
  logic [31:0] line_q [RegLineCnt];
  logic [31:0] totals_q [RegTotalsCnt];
  logic [63:0] counter_q;

  // Where an address is: a place in a row of registers, below cnt if it is there.
  function automatic logic [WordBits-1:0] place(logic [RegAddressBits-1:0] address,
                                                logic [RegAddressBits-1:0] first);
    return WordBits'((address - first) >> 2);
  endfunction

  function automatic logic is_in(logic [RegAddressBits-1:0] address,
                                 logic [RegAddressBits-1:0] first, int unsigned cnt);
    return address[1:0] == '0 && 32'(place(address, first)) < cnt;
  endfunction

  // Writes

  logic is_secret, is_port_mac, is_kernel_mac, is_line, has_totals, known, allowed, done;

  assign is_secret = is_in(write_addr_i, RegSecret, RegSecretCnt);
  assign is_port_mac = is_in(write_addr_i, RegPortMac, RegPortMacCnt);
  assign is_kernel_mac = is_in(write_addr_i, RegKernelMac, RegKernelMacCnt);
  assign is_line = is_in(write_addr_i, RegLine, RegLineCnt);

  // A service that is looked up has totals of its own, one for each line.
  assign has_totals = service_o.valid == '0 || 32'(service_o.service_idx) < ServiceLines;

  always_comb begin
    known = is_secret || is_port_mac || is_kernel_mac || is_line;
    unique case (write_addr_i)
      RegControl, RegAddress: known = 1'b1;
      RegServiceWrite: known = ready_i && write_data_i < ServiceLines && has_totals;
      RegBackendWrite: known = ready_i && write_data_i < BackendLines;
      RegTotalsRead: known = write_data_i[RegTotalsReadBackendBit] ?
          write_data_i[RegTotalsReadIndexBits-1:0] < RegTotalsReadIndexBits'(BackendLines) :
          write_data_i[RegTotalsReadIndexBits-1:0] < RegTotalsReadIndexBits'(ServiceLines);
      RegCounterRead: known = write_data_i < CounterCnt;
      default: ;
    endcase
  end

  assign allowed = write_valid_i && known && write_whole_i;
  assign totals_read_o = allowed && write_addr_i == RegTotalsRead;
  assign totals_of_backend_o = write_data_i[RegTotalsReadBackendBit];
  assign totals_idx_o = 32'(write_data_i[RegTotalsReadIndexBits-1:0]);
  assign write_done_o = !totals_read_o || totals_valid_i;
  assign write_error_o = !allowed;
  assign done = allowed && write_done_o;

  assign reset_o = done && write_addr_i == RegControl && write_data_i[RegControlResetBit];
  assign service_write_o = done && write_addr_i == RegServiceWrite;
  assign backend_write_o = done && write_addr_i == RegBackendWrite;
  assign line_idx_o = write_data_i;
  assign counter_o = tiara_counter_e'(write_data_i[$bits(tiara_counter_e)-1:0]);

  always_ff @(posedge clk_i) begin
    if (done) begin
      if (is_secret) secret_q[2'(place(write_addr_i, RegSecret))] <= write_data_i;
      if (totals_read_o) begin
        {totals_q[1], totals_q[0]} <= totals_pkts_i;
        {totals_q[3], totals_q[2]} <= totals_bytes_i;
      end
      if (write_addr_i == RegCounterRead) counter_q <= counter_i;
    end
    if (!rst_ni) begin
      address_q <= '0;
      port_mac_q <= '{default: '0};
      kernel_mac_q <= '{default: '0};
      line_q <= '{default: '0};
      totals_q <= '{default: '0};
      counter_q <= '0;
    end else if (done) begin
      if (write_addr_i == RegAddress) address_q <= write_data_i;
      if (is_port_mac) port_mac_q[1'(place(write_addr_i, RegPortMac))] <= write_data_i;
      if (is_kernel_mac) kernel_mac_q[1'(place(write_addr_i, RegKernelMac))] <= write_data_i;
      if (is_line) line_q[4'(place(write_addr_i, RegLine))] <= write_data_i;
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < RegLineCnt; i++) backend_o[32*i+:32] = line_q[i];
    for (int unsigned i = 0; i < 4; i++) service_o[32*i+:32] = line_q[i];
  end
  assign secret_o = 127'(secret_q);
  assign identity_o = '{port_mac: {port_mac_q[1][15:0], port_mac_q[0]},
                        kernel_mac: {kernel_mac_q[1][15:0], kernel_mac_q[0]},
                        address: address_q};

  logic unused;
  assign unused = &{1'b0, secret_q};

  // Reads

  always_comb begin
    read_data_o = '0;
    read_error_o = 1'b0;
    unique case (1'b1)
      is_in(read_addr_i, RegMagic, 1): read_data_o = RegMagicValue;
      is_in(read_addr_i, RegLayoutId, RegLayoutIdCnt):
        read_data_o = 32'(LayoutId >> {place(read_addr_i, RegLayoutId), 5'd0});
      is_in(read_addr_i, RegBucketBits, 1): read_data_o = BucketBits;
      is_in(read_addr_i, RegServiceLines, 1): read_data_o = ServiceLines;
      is_in(read_addr_i, RegBackendLines, 1): read_data_o = BackendLines;
      is_in(read_addr_i, RegPorts, 1): read_data_o = Ports;
      is_in(read_addr_i, RegStatus, 1): begin
        read_data_o[RegStatusBusyBit] = busy_i;
        read_data_o[RegStatusReadyBit] = ready_i;
      end
      is_in(read_addr_i, RegEpoch, 1): read_data_o = 32'(epoch_i);
      is_in(read_addr_i, RegAddress, 1): read_data_o = address_q;
      is_in(read_addr_i, RegPortMac, 1): read_data_o = port_mac_q[0];
      is_in(read_addr_i, RegPortMac + 12'd4, 1): read_data_o = 32'(port_mac_q[1][15:0]);
      is_in(read_addr_i, RegKernelMac, 1): read_data_o = kernel_mac_q[0];
      is_in(read_addr_i, RegKernelMac + 12'd4, 1): read_data_o = 32'(kernel_mac_q[1][15:0]);
      is_in(read_addr_i, RegLine, RegLineCnt):
        read_data_o = line_q[4'(place(read_addr_i, RegLine))];
      is_in(read_addr_i, RegTotals, RegTotalsCnt):
        read_data_o = totals_q[2'(place(read_addr_i, RegTotals))];
      is_in(read_addr_i, RegCounter, RegCounterCnt):
        read_data_o = 32'(counter_q >> {place(read_addr_i, RegCounter), 5'd0});
      is_in(read_addr_i, RegControl, 1), is_in(read_addr_i, RegSecret, RegSecretCnt),
      is_in(read_addr_i, RegServiceWrite, 1), is_in(read_addr_i, RegBackendWrite, 1),
      is_in(read_addr_i, RegTotalsRead, 1), is_in(read_addr_i, RegCounterRead, 1): ;
      default: read_error_o = 1'b1;
    endcase
  end

  // Properties

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      // P1 What is refused does nothing.
      a_p1 : assert (!(write_valid_i && write_error_o) ||
                     !(reset_o || service_write_o || backend_write_o || totals_read_o));
      // P2 A line that is written exists.
      a_p2_service : assert (!service_write_o || line_idx_o < ServiceLines);
      a_p2_backend : assert (!backend_write_o || line_idx_o < BackendLines);
      // P3 One write does one thing.
      a_p3 : assert ($onehot0({reset_o, service_write_o, backend_write_o, totals_read_o}));
      c_refused : cover (write_valid_i && write_error_o);
      c_no_read : cover (read_valid_i && read_error_o);
      c_totals : cover (totals_read_o && totals_valid_i);
      c_reset : cover (reset_o);
    end
  end

endmodule
