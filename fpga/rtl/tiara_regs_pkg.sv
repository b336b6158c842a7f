// SPDX-License-Identifier: Apache-2.0
// Generated from fpga/rtl/registers.toml by `script/check generate`. Do not edit.

package tiara_regs_pkg;

  // A package offers more than one module uses.
  /* verilator lint_off UNUSEDPARAM */

  localparam int unsigned RegAddressBits = 12;

  // Offsets in bytes; Cnt where there are several in a row.
  localparam logic [11:0] RegMagic = 12'h000;
  localparam logic [11:0] RegLayoutId = 12'h008;
  localparam int unsigned RegLayoutIdCnt = 2;
  localparam logic [11:0] RegBucketBits = 12'h010;
  localparam logic [11:0] RegServiceLines = 12'h014;
  localparam logic [11:0] RegBackendLines = 12'h018;
  localparam logic [11:0] RegPorts = 12'h01c;
  localparam logic [11:0] RegControl = 12'h020;
  localparam int unsigned RegControlResetBit = 0;
  localparam logic [11:0] RegStatus = 12'h024;
  localparam int unsigned RegStatusBusyBit = 0;
  localparam int unsigned RegStatusReadyBit = 1;
  localparam logic [11:0] RegEpoch = 12'h028;
  localparam logic [11:0] RegSecret = 12'h030;
  localparam int unsigned RegSecretCnt = 4;
  localparam logic [11:0] RegAddress = 12'h040;
  localparam logic [11:0] RegPortMac = 12'h048;
  localparam int unsigned RegPortMacCnt = 2;
  localparam logic [11:0] RegKernelMac = 12'h050;
  localparam int unsigned RegKernelMacCnt = 2;
  localparam logic [11:0] RegLine = 12'h100;
  localparam int unsigned RegLineCnt = 16;
  localparam logic [11:0] RegServiceWrite = 12'h140;
  localparam logic [11:0] RegBackendWrite = 12'h144;
  localparam logic [11:0] RegTotalsRead = 12'h150;
  localparam int unsigned RegTotalsReadIndexBit = 0;
  localparam int unsigned RegTotalsReadIndexBits = 24;
  localparam int unsigned RegTotalsReadBackendBit = 24;
  localparam logic [11:0] RegTotals = 12'h160;
  localparam int unsigned RegTotalsCnt = 4;
  localparam logic [11:0] RegCounterRead = 12'h170;
  localparam logic [11:0] RegCounter = 12'h178;
  localparam int unsigned RegCounterCnt = 2;

  localparam logic [31:0] RegMagicValue = 32'h41524954;

  localparam int unsigned CounterCnt = 13;
  typedef enum logic [3:0] {
    CounterRxPkts = 4'd0,
    CounterTxPkts = 4'd1,
    CounterCpuPkts = 4'd2,
    CounterRxBytes = 4'd3,
    CounterTxBytes = 4'd4,
    CounterCpuBytes = 4'd5,
    CounterCommands = 4'd6,
    CounterCommandsDropped = 4'd7,
    CounterAnswers = 4'd8,
    CounterResets = 4'd9,
    CounterBadPkts = 4'd10,
    CounterMemoryErrors = 4'd11,
    CounterCpuDropped = 4'd12
  } tiara_counter_e;

  /* verilator lint_on UNUSEDPARAM */

endpackage
