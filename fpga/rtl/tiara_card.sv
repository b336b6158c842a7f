// SPDX-License-Identifier: Apache-2.0
// The card: packets, commands and registers in, memory beside it. See fpga/doc/tiara_card.md.

module tiara_card
  import tiara_card_pkg::*;
  import tiara_layout_pkg::*;
  import tiara_regs_pkg::*;
#(
  parameter int unsigned Pipes        = 1,  // streams of packets: one a network port
  parameter int unsigned Ports        = 4,  // of each pipe's lookups
  parameter int unsigned Outstanding  = 16,  // reads on each port
  parameter int unsigned BucketBits   = 10,
  parameter int unsigned ServiceLines = 64,
  parameter int unsigned BackendLines = 256,
  parameter int unsigned PacketBeats  = 512,  // a pipe, of packets whose headers are inside
  parameter int unsigned CpuBeats     = 1024,  // a pipe, of packets that the CPU has not taken yet
  parameter bit          HitFault     = 1'b0,  // hits name another backend line: to see tests fail
  localparam int unsigned Lanes       = Pipes * Ports,  // pipe p's ports begin at p * Ports
  localparam int unsigned IdBits      = (Outstanding > 1) ? $clog2(Outstanding) : 1,
  localparam int unsigned AddrBits    = BucketBits - $clog2(Ports) + 6,
  localparam int unsigned CmdAddrBits = BucketBits + 6
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  output logic                              idle_o,  // nothing is inside that was taken in

  input  logic [Pipes-1:0]                  s_axis_rx_tvalid,
  output logic [Pipes-1:0]                  s_axis_rx_tready,
  input  logic [Pipes-1:0][StreamBits-1:0]  s_axis_rx_tdata,
  input  logic [Pipes-1:0][StreamBytes-1:0] s_axis_rx_tkeep,
  input  logic [Pipes-1:0]                  s_axis_rx_tlast,
  input  logic [Pipes-1:0]                  s_axis_rx_tuser,  // with tlast: the frame is bad

  output logic [Pipes-1:0]                  m_axis_tx_tvalid,
  input  logic [Pipes-1:0]                  m_axis_tx_tready,
  output logic [Pipes-1:0][StreamBits-1:0]  m_axis_tx_tdata,
  output logic [Pipes-1:0][StreamBytes-1:0] m_axis_tx_tkeep,
  output logic [Pipes-1:0]                  m_axis_tx_tlast,

  output logic [Pipes-1:0]                  m_axis_cpu_tvalid,
  input  logic [Pipes-1:0]                  m_axis_cpu_tready,
  output logic [Pipes-1:0][StreamBits-1:0]  m_axis_cpu_tdata,
  output logic [Pipes-1:0][StreamBytes-1:0] m_axis_cpu_tkeep,
  output logic [Pipes-1:0]                  m_axis_cpu_tlast,
  output tiara_card_meta_t [Pipes-1:0]      m_axis_cpu_tuser,

  input  logic                              s_axis_cmd_tvalid,
  output logic                              s_axis_cmd_tready,
  input  tiara_card_command_t               s_axis_cmd_tdata,
  output logic                              m_axis_ans_tvalid,
  input  logic                              m_axis_ans_tready,
  output tiara_card_answer_t                m_axis_ans_tdata,

  input  logic                              s_axil_awvalid,
  output logic                              s_axil_awready,
  input  logic [RegAddressBits-1:0]         s_axil_awaddr,
  input  logic                              s_axil_wvalid,
  output logic                              s_axil_wready,
  input  logic [31:0]                       s_axil_wdata,
  input  logic [3:0]                        s_axil_wstrb,
  output logic                              s_axil_bvalid,
  input  logic                              s_axil_bready,
  output logic [1:0]                        s_axil_bresp,
  input  logic                              s_axil_arvalid,
  output logic                              s_axil_arready,
  input  logic [RegAddressBits-1:0]         s_axil_araddr,
  output logic                              s_axil_rvalid,
  input  logic                              s_axil_rready,
  output logic [31:0]                       s_axil_rdata,
  output logic [1:0]                        s_axil_rresp,

  output logic [Lanes-1:0]                  m_axi_arvalid,
  input  logic [Lanes-1:0]                  m_axi_arready,
  output logic [Lanes-1:0][IdBits-1:0]      m_axi_arid,
  output logic [Lanes-1:0][AddrBits-1:0]    m_axi_araddr,
  output logic [7:0]                        m_axi_arlen,  // these three of every port
  output logic [2:0]                        m_axi_arsize,
  output logic [1:0]                        m_axi_arburst,
  input  logic [Lanes-1:0]                  m_axi_rvalid,
  output logic [Lanes-1:0]                  m_axi_rready,
  input  logic [Lanes-1:0][IdBits-1:0]      m_axi_rid,
  input  logic [Lanes-1:0][255:0]           m_axi_rdata,
  input  logic [Lanes-1:0][1:0]             m_axi_rresp,
  input  logic [Lanes-1:0]                  m_axi_rlast,

  // Commands' own port: bucket b is at {b % Ports, b / Ports, 64 bytes}.
  output logic                              m_axi_cmd_awvalid,
  input  logic                              m_axi_cmd_awready,
  output logic [CmdAddrBits-1:0]            m_axi_cmd_awaddr,
  output logic [7:0]                        m_axi_cmd_awlen,
  output logic                              m_axi_cmd_wvalid,
  input  logic                              m_axi_cmd_wready,
  output logic [255:0]                      m_axi_cmd_wdata,
  output logic [31:0]                       m_axi_cmd_wstrb,
  output logic                              m_axi_cmd_wlast,
  input  logic                              m_axi_cmd_bvalid,
  output logic                              m_axi_cmd_bready,
  input  logic [1:0]                        m_axi_cmd_bresp,
  output logic                              m_axi_cmd_arvalid,
  input  logic                              m_axi_cmd_arready,
  output logic [CmdAddrBits-1:0]            m_axi_cmd_araddr,
  input  logic                              m_axi_cmd_rvalid,
  output logic                              m_axi_cmd_rready,
  input  logic [255:0]                      m_axi_cmd_rdata,
  input  logic [1:0]                        m_axi_cmd_rresp
);

  localparam int unsigned ServiceBits = $clog2(ServiceLines);
  localparam int unsigned BackendBits = $clog2(BackendLines);

  if (Pipes == 0) begin : gen_pipes
    $error("Pipes must be 1 or more");
  end
  if (Ports == 0 || (Ports & (Ports - 1)) != 0 || (32'd1 << BucketBits) < Ports) begin : gen_ports
    $error("Ports must be a power of two, and no more than the buckets");
  end
  if (ServiceLines > 65536) begin : gen_services
    $error("ServiceLines must be at most 65536: a service's index has 16 bits");
  end

  // What was taken in leaves before the card is emptied; so resetting the modules breaks no stream.
  logic [Pipes-1:0] tables_ready;
  logic seen_ready, memory_empty;
  logic [1:0] counts_ready;
  logic core_rst_n, hold, busy, ready, reset_done;
  logic [15:0] epoch;

  // ---- registers

  logic write_valid, write_whole, write_done, write_error, read_valid, read_error, reset;
  logic [RegAddressBits-1:0] write_addr, read_addr;
  logic [31:0] write_data, read_data;

  tiara_axil #(
    .AddressBits(RegAddressBits)
  ) u_axil (
    .clk_i,
    .rst_ni,
    .s_axil_awvalid,
    .s_axil_awready,
    .s_axil_awaddr,
    .s_axil_wvalid,
    .s_axil_wready,
    .s_axil_wdata,
    .s_axil_wstrb,
    .s_axil_bvalid,
    .s_axil_bready,
    .s_axil_bresp,
    .s_axil_arvalid,
    .s_axil_arready,
    .s_axil_araddr,
    .s_axil_rvalid,
    .s_axil_rready,
    .s_axil_rdata,
    .s_axil_rresp,
    .write_valid_o(write_valid),
    .write_addr_o (write_addr),
    .write_data_o (write_data),
    .write_whole_o(write_whole),
    .write_done_i (write_done),
    .write_error_i(write_error),
    .read_valid_o (read_valid),
    .read_addr_o  (read_addr),
    .read_data_i  (read_data),
    .read_error_i (read_error)
  );

  logic [126:0] secret;
  tiara_card_identity_t identity;
  logic service_write, backend_write, totals_read, totals_of_backend, totals_valid;
  tiara_card_service_t service;
  tiara_card_backend_t backend;
  logic [31:0] line_idx, totals_idx;
  logic [63:0] totals_pkts, totals_bytes, counter_value;
  tiara_counter_e counter;

  tiara_regs #(
    .BucketBits  (BucketBits),
    .ServiceLines(ServiceLines),
    .BackendLines(BackendLines),
    .Ports       (Ports)
  ) u_regs (
    .clk_i,
    .rst_ni,
    .write_valid_i      (write_valid),
    .write_addr_i       (write_addr),
    .write_data_i       (write_data),
    .write_whole_i      (write_whole),
    .write_done_o       (write_done),
    .write_error_o      (write_error),
    .read_valid_i       (read_valid),
    .read_addr_i        (read_addr),
    .read_data_o        (read_data),
    .read_error_o       (read_error),
    .reset_o            (reset),
    .busy_i             (busy),
    .ready_i            (ready),
    .epoch_i            (epoch),
    .secret_o           (secret),
    .identity_o         (identity),
    .service_write_o    (service_write),
    .service_o          (service),
    .backend_write_o    (backend_write),
    .backend_o          (backend),
    .line_idx_o         (line_idx),
    .totals_read_o      (totals_read),
    .totals_of_backend_o(totals_of_backend),
    .totals_idx_o       (totals_idx),
    .totals_valid_i     (totals_valid),
    .totals_pkts_i      (totals_pkts),
    .totals_bytes_i     (totals_bytes),
    .counter_o          (counter),
    .counter_i          (counter_value)
  );

  tiara_restart u_restart (
    .clk_i,
    .rst_ni,
    .reset_i       (reset),
    .idle_i        (idle_o),
    .tables_empty_i((&tables_ready) && seen_ready && (&counts_ready)),
    .memory_empty_i(memory_empty),
    .hold_o        (hold),
    .core_rst_no   (core_rst_n),
    .busy_o        (busy),
    .ready_o       (ready),
    .done_o        (reset_done),
    .epoch_o       (epoch)
  );

  // ---- packets

  logic [Pipes-1:0] pipe_idle, pipe_valid, pipe_ready;
  logic [Pipes-1:0][15:0] begun, ended;
  tiara_card_forwarded_t [Pipes-1:0] pipe_forwarded;
  tiara_card_steps_t [Pipes-1:0] steps;
  logic [Pipes-1:0][7:0] arlen;
  logic [Pipes-1:0][2:0] arsize;
  logic [Pipes-1:0][1:0] arburst;

  assign m_axi_arlen   = arlen[0];
  assign m_axi_arsize  = arsize[0];
  assign m_axi_arburst = arburst[0];

  for (genvar g = 0; g < Pipes; g++) begin : gen_pipe
    tiara_pipe #(
      .Ports       (Ports),
      .Outstanding (Outstanding),
      .BucketBits  (BucketBits),
      .ServiceLines(ServiceLines),
      .BackendLines(BackendLines),
      .PacketBeats (PacketBeats),
      .CpuBeats    (CpuBeats),
      .HitFault    (HitFault)
    ) u_pipe (
      .clk_i,
      .rst_ni,
      .core_rst_ni      (core_rst_n),
      .hold_i           (hold),
      .lookup_i         (memory_empty),
      .tables_ready_o   (tables_ready[g]),
      .idle_o           (pipe_idle[g]),
      .steps_o          (steps[g]),
      .identity_i       (identity),
      .secret_i         (secret),
      .service_write_i  (service_write),
      .service_i        (service),
      .backend_write_i  (backend_write),
      .backend_i        (backend),
      .line_idx_i       (line_idx),
      .s_axis_rx_tvalid (s_axis_rx_tvalid[g]),
      .s_axis_rx_tready (s_axis_rx_tready[g]),
      .s_axis_rx_tdata  (s_axis_rx_tdata[g]),
      .s_axis_rx_tkeep  (s_axis_rx_tkeep[g]),
      .s_axis_rx_tlast  (s_axis_rx_tlast[g]),
      .s_axis_rx_tuser  (s_axis_rx_tuser[g]),
      .m_axis_tx_tvalid (m_axis_tx_tvalid[g]),
      .m_axis_tx_tready (m_axis_tx_tready[g]),
      .m_axis_tx_tdata  (m_axis_tx_tdata[g]),
      .m_axis_tx_tkeep  (m_axis_tx_tkeep[g]),
      .m_axis_tx_tlast  (m_axis_tx_tlast[g]),
      .m_axis_cpu_tvalid(m_axis_cpu_tvalid[g]),
      .m_axis_cpu_tready(m_axis_cpu_tready[g]),
      .m_axis_cpu_tdata (m_axis_cpu_tdata[g]),
      .m_axis_cpu_tkeep (m_axis_cpu_tkeep[g]),
      .m_axis_cpu_tlast (m_axis_cpu_tlast[g]),
      .m_axis_cpu_tuser (m_axis_cpu_tuser[g]),
      .forwarded_valid_o(pipe_valid[g]),
      .forwarded_ready_i(pipe_ready[g]),
      .forwarded_o      (pipe_forwarded[g]),
      .begun_o          (begun[g]),
      .ended_o          (ended[g]),
      .m_axi_arvalid    (m_axi_arvalid[g*Ports+:Ports]),
      .m_axi_arready    (m_axi_arready[g*Ports+:Ports]),
      .m_axi_arid       (m_axi_arid[g*Ports+:Ports]),
      .m_axi_araddr     (m_axi_araddr[g*Ports+:Ports]),
      .m_axi_arlen      (arlen[g]),
      .m_axi_arsize     (arsize[g]),
      .m_axi_arburst    (arburst[g]),
      .m_axi_rvalid     (m_axi_rvalid[g*Ports+:Ports]),
      .m_axi_rready     (m_axi_rready[g*Ports+:Ports]),
      .m_axi_rid        (m_axi_rid[g*Ports+:Ports]),
      .m_axi_rdata      (m_axi_rdata[g*Ports+:Ports]),
      .m_axi_rresp      (m_axi_rresp[g*Ports+:Ports]),
      .m_axi_rlast      (m_axi_rlast[g*Ports+:Ports])
    );
  end

  // ---- what was forwarded

  logic query_valid, query_ready, query_done, query_seen, forwarded_valid, asked, told;
  tiara_card_forwarded_t forwarded;
  logic harvest_valid, harvest_ready, harvest_swap, line_valid, line_ready, line_end;
  logic [31:0] query_slot, line_slot;
  logic [127:0] line_bits;
  logic [1:0] count_ready, count_done;
  logic [1:0][63:0] count_pkts, count_bytes;

  // A question goes first: pipes that are never idle would leave it no cycle.
  assign asked = query_valid || totals_read;
  assign told  = forwarded_valid && !asked;

  tiara_merge #(
    .Width  ($bits(tiara_card_forwarded_t)),
    .Sources(Pipes)
  ) u_forwarded (
    .clk_i,
    .rst_ni   (core_rst_n),
    .s_valid_i(pipe_valid),
    .s_ready_o(pipe_ready),
    .s_data_i (pipe_forwarded),
    .m_valid_o(forwarded_valid),
    .m_ready_i(!asked),
    .m_data_o (forwarded)
  );

  tiara_seen #(
    .SlotBits(BucketBits + 2)
  ) u_seen (
    .clk_i,
    .rst_ni         (core_rst_n),
    .ready_o        (seen_ready),
    .set_valid_i    (told),
    .set_slot_i     (forwarded.slot),
    .query_valid_i  (query_valid),
    .query_ready_o  (query_ready),
    .query_slot_i   (query_slot),
    .query_done_o   (query_done),
    .query_seen_o   (query_seen),
    .harvest_valid_i(harvest_valid),
    .harvest_ready_o(harvest_ready),
    .harvest_swap_i (harvest_swap),
    .line_valid_o   (line_valid),
    .line_ready_i   (line_ready),
    .line_slot_o    (line_slot),
    .line_bits_o    (line_bits),
    .line_end_o     (line_end)
  );

  // A service's totals are by its index, which tiara_regs keeps below ServiceLines.
  tiara_totals #(
    .IndexBits(ServiceBits)
  ) u_services (
    .clk_i,
    .rst_ni      (core_rst_n),
    .ready_o     (counts_ready[0]),
    .add_valid_i (told),
    .add_idx_i   (ServiceBits'(forwarded.service_idx)),
    .add_bytes_i (forwarded.bytes),
    .read_valid_i(totals_read && !totals_of_backend && !count_done[0]),
    .read_ready_o(count_ready[0]),
    .read_idx_i  (ServiceBits'(totals_idx)),
    .read_done_o (count_done[0]),
    .read_pkts_o (count_pkts[0]),
    .read_bytes_o(count_bytes[0])
  );

  tiara_totals #(
    .IndexBits(BackendBits)
  ) u_backends (
    .clk_i,
    .rst_ni      (core_rst_n),
    .ready_o     (counts_ready[1]),
    .add_valid_i (told),
    .add_idx_i   (BackendBits'(forwarded.backend_line)),
    .add_bytes_i (forwarded.bytes),
    .read_valid_i(totals_read && totals_of_backend && !count_done[1]),
    .read_ready_o(count_ready[1]),
    .read_idx_i  (BackendBits'(totals_idx)),
    .read_done_o (count_done[1]),
    .read_pkts_o (count_pkts[1]),
    .read_bytes_o(count_bytes[1])
  );

  assign totals_valid = |count_done;
  assign totals_pkts  = count_pkts[totals_of_backend];
  assign totals_bytes = count_bytes[totals_of_backend];

  // ---- commands

  // Valid is low in reset, in which the sequencer may already want to clear the table.
  logic cmd_awvalid, cmd_wvalid, cmd_arvalid;

  assign m_axi_cmd_awvalid = core_rst_n && cmd_awvalid;
  assign m_axi_cmd_wvalid  = core_rst_n && cmd_wvalid;
  assign m_axi_cmd_arvalid = core_rst_n && cmd_arvalid;

  logic cmd_tvalid, cmd_tready, cmd_open, cmd_dropped, cmd_error;

  tiara_gate u_cmd_gate (
    .clk_i,
    .rst_ni,
    .hold_i    (!ready),
    .open_o    (cmd_open),
    .s_tvalid_i(s_axis_cmd_tvalid),
    .s_tready_o(s_axis_cmd_tready),
    .s_tlast_i (1'b1),
    .m_tvalid_o(cmd_tvalid),
    .m_tready_i(cmd_tready)
  );

  tiara_command #(
    .Pipes     (Pipes),
    .Ports     (Ports),
    .BucketBits(BucketBits),
    .PortShift (AddrBits)
  ) u_command (
    .clk_i,
    .rst_ni           (core_rst_n),
    .epoch_i          (epoch),
    .ready_o          (memory_empty),
    .dropped_o        (cmd_dropped),
    .error_o          (cmd_error),
    .s_axis_cmd_tvalid(cmd_tvalid),
    .s_axis_cmd_tready(cmd_tready),
    .s_axis_cmd_tdata,
    .m_axis_ans_tvalid,
    .m_axis_ans_tready,
    .m_axis_ans_tdata,
    .begun_i          (begun),
    .ended_i          (ended),
    .query_valid_o    (query_valid),
    .query_ready_i    (query_ready),
    .query_slot_o     (query_slot),
    .query_done_i     (query_done),
    .query_seen_i     (query_seen),
    .harvest_valid_o  (harvest_valid),
    .harvest_ready_i  (harvest_ready),
    .harvest_swap_o   (harvest_swap),
    .line_valid_i     (line_valid),
    .line_ready_o     (line_ready),
    .line_slot_i      (line_slot),
    .line_bits_i      (line_bits),
    .line_end_i       (line_end),
    .m_axi_awvalid    (cmd_awvalid),
    .m_axi_awready    (m_axi_cmd_awready),
    .m_axi_awaddr     (m_axi_cmd_awaddr),
    .m_axi_awlen      (m_axi_cmd_awlen),
    .m_axi_wvalid     (cmd_wvalid),
    .m_axi_wready     (m_axi_cmd_wready),
    .m_axi_wdata      (m_axi_cmd_wdata),
    .m_axi_wstrb      (m_axi_cmd_wstrb),
    .m_axi_wlast      (m_axi_cmd_wlast),
    .m_axi_bvalid     (m_axi_cmd_bvalid),
    .m_axi_bready     (m_axi_cmd_bready),
    .m_axi_bresp      (m_axi_cmd_bresp),
    .m_axi_arvalid    (cmd_arvalid),
    .m_axi_arready    (m_axi_cmd_arready),
    .m_axi_araddr     (m_axi_cmd_araddr),
    .m_axi_rvalid     (m_axi_cmd_rvalid),
    .m_axi_rready     (m_axi_cmd_rready),
    .m_axi_rdata      (m_axi_cmd_rdata),
    .m_axi_rresp      (m_axi_cmd_rresp)
  );

  assign idle_o = (&pipe_idle) && !cmd_open && !m_axis_ans_tvalid &&
      (hold || (cmd_tready && harvest_ready));

  // ---- counters

  localparam int unsigned StepBits = 7 + $clog2(Pipes);
  logic [CounterCnt-1:0][StepBits-1:0] step;

  always_comb begin
    step = '0;
    for (int unsigned i = 0; i < Pipes; i++) begin
      step[CounterRxPkts]     += StepBits'(steps[i].rx);
      step[CounterTxPkts]     += StepBits'(steps[i].tx);
      step[CounterCpuPkts]    += StepBits'(steps[i].cpu);
      step[CounterRxBytes]    += StepBits'(steps[i].rx_bytes);
      step[CounterTxBytes]    += StepBits'(steps[i].tx_bytes);
      step[CounterCpuBytes]   += StepBits'(steps[i].cpu_bytes);
      step[CounterBadPkts]    += StepBits'(steps[i].bad);
      step[CounterCpuDropped] += StepBits'(steps[i].cpu_dropped);
    end
    step[CounterCommands] = StepBits'(cmd_tvalid && cmd_tready);
    step[CounterCommandsDropped] = StepBits'(cmd_dropped);
    step[CounterAnswers]  = StepBits'(m_axis_ans_tvalid && m_axis_ans_tready);
    step[CounterMemoryErrors] = StepBits'(cmd_error);
    step[CounterResets]   = StepBits'(reset_done);
  end

  tiara_counters #(
    .StepBits(StepBits)
  ) u_counters (
    .clk_i,
    .rst_ni,
    .step_i   (step),
    .counter_i(counter),
    .counter_o(counter_value)
  );

  logic unused;
  assign unused = ^{count_ready, line_idx, totals_idx, arlen, arsize, arburst};

  // ---- properties

  logic sound_q;

  always_ff @(posedge clk_i) begin
    sound_q <= core_rst_n;
    if (core_rst_n && sound_q) begin
      // 1. Nothing is told of while what it counts in is not there.
      p_1 : assert (!forwarded_valid || (seen_ready && (&counts_ready)));
      // 2. Before its first epoch the card gives nothing.
      p_2 : assert (epoch != '0 || !((|m_axis_tx_tvalid) || (|m_axis_cpu_tvalid) || m_axis_ans_tvalid));
      // 3. What is counted has a place of its own.
      p_3 : assert (!forwarded_valid || 32'(forwarded.service_idx) < ServiceLines);
      c_1 : cover (forwarded_valid && query_valid);
      c_2 : cover (hold && !idle_o);
    end
  end

endmodule
