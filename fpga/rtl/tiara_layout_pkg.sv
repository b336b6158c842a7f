// SPDX-License-Identifier: Apache-2.0
// Generated from dataplane/include/tiara/layout.h by `script/check generate`. Do not edit.
//
// Byte k of a C struct is bits [8k+7:8k] of its packed struct: the first C member is the least
// significant, so members come in reverse order. A member in network byte order holds the first
// byte on the wire in its bits [7:0].

package tiara_layout_pkg;

  // A package offers more than one module uses.
  /* verilator lint_off UNUSEDPARAM */

  localparam logic [63:0] LayoutId = 64'hbbae043571b61174;

  // enum tiara_limit
  localparam int unsigned LineBytes = 64;
  localparam int unsigned BucketEntries = 4;
  localparam int unsigned WorkerMax = 64;
  localparam int unsigned OwnerControl = 255;
  localparam int unsigned RootCnt = 16;
  localparam int unsigned RootWaitingMax = 8;
  localparam int unsigned ServiceLimit = 65536;
  localparam int unsigned BackendLimit = 16777216;
  localparam int unsigned MoveStripes = 4096;
  localparam int unsigned MoveLogKeys = 8191;
  localparam int unsigned TimeoutTicksMax = 32768;
  localparam int unsigned NameBytes = 64;
  localparam int unsigned UidBytes = 16;
  localparam int unsigned VerdictCnt = 64;
  localparam int unsigned EventCnt = 32;
  localparam int unsigned StateCnt = 8;
  localparam int unsigned SourcesMax = 1024;
  localparam int unsigned HeapUnitBytes = 4096;
  localparam int unsigned CardChannels = 16;
  localparam int unsigned PackedFormat = 1;
  localparam int unsigned PackedChunkBytes = 1048576;

  typedef enum logic [7:0] {
    VerdictNone = 8'd0,
    VerdictForwarded = 8'd1,
    VerdictForwardedUntracked = 8'd2,
    VerdictForwardedStray = 8'd3,
    VerdictArpAnswered = 8'd4,
    VerdictArpLearned = 8'd5,
    VerdictIcmpAnswered = 8'd6,
    VerdictToKernel = 8'd7,
    VerdictInjected = 8'd8,
    VerdictForwardedByCard = 8'd9,
    VerdictTruncated = 8'd16,
    VerdictNotIpv4 = 8'd17,
    VerdictBadHeader = 8'd18,
    VerdictBadChecksum = 8'd19,
    VerdictFragment = 8'd20,
    VerdictTtlExpired = 8'd21,
    VerdictNotForUs = 8'd22,
    VerdictUnsupportedProtocol = 8'd23,
    VerdictNoService = 8'd24,
    VerdictNoBackend = 8'd25,
    VerdictNoNeighbour = 8'd26,
    VerdictTooBig = 8'd27,
    VerdictNoRoom = 8'd28,
    VerdictNotConfigured = 8'd29,
    VerdictMartian = 8'd30,
    VerdictKernelFull = 8'd31,
    VerdictTxFull = 8'd32,
    VerdictVlan = 8'd33,
    VerdictSourceDenied = 8'd34,
    VerdictRateLimited = 8'd35,
    VerdictBackendFull = 8'd36,
    VerdictCardRemoving = 8'd37
  } tiara_verdict_e;

  typedef enum logic [7:0] {
    EventNone = 8'd0,
    EventConnectionNew = 8'd1,
    EventConnectionReselected = 8'd2,
    EventBackendRemoved = 8'd3,
    EventBackendDown = 8'd4,
    EventTableFull = 8'd5,
    EventInsertRace = 8'd6,
    EventTouchRace = 8'd7,
    EventSweptExpired = 8'd8,
    EventSweptGone = 8'd9,
    EventSweptTentative = 8'd10,
    EventGenerationChange = 8'd11,
    EventMoved = 8'd12,
    EventReclaimed = 8'd13,
    EventConnectionSpilled = 8'd14,
    EventCardOffered = 8'd15,
    EventCardRemoved = 8'd16,
    EventCardExpired = 8'd17,
    EventCardRepeated = 8'd18,
    EventCardFull = 8'd19,
    EventCardWishLost = 8'd20,
    EventCardReset = 8'd21,
    EventCardOvertaken = 8'd22
  } tiara_event_e;

  typedef enum logic [7:0] {
    StateEmpty = 8'd0,
    StateTentative = 8'd1,
    StateNew = 8'd2,
    StateEstablished = 8'd3,
    StateClosing = 8'd4,
    StateUdp = 8'd5,
    StatePending = 8'd6
  } tiara_state_e;

  // enum tiara_entry_flag
  localparam logic [7:0] EntryPushed = 8'd1;
  localparam logic [7:0] EntryUnconfirmed = 8'd2;
  localparam logic [7:0] EntryMoving = 8'd4;
  localparam logic [7:0] EntryArriving = 8'd8;
  localparam logic [7:0] EntryOffloaded = 8'd16;
  localparam logic [7:0] EntryEnding = 8'd32;
  localparam logic [7:0] EntryOverflow = 8'd128;

  typedef enum logic [7:0] {
    UseFree = 8'd0,
    UseActive = 8'd1,
    UseDown = 8'd2,
    UseGone = 8'd3,
    UseVip = 8'd4
  } tiara_use_e;

  typedef enum logic [7:0] {
    ForwardNone = 8'd0,
    ForwardL2 = 8'd1,
    ForwardVxlan = 8'd2,
    ForwardIpip = 8'd3
  } tiara_forward_e;

  // enum tiara_service_flag
  localparam logic [7:0] ServiceSourceAffinity = 8'd1;

  typedef enum logic [7:0] {
    NeighbourFree = 8'd0,
    NeighbourWanted = 8'd1,
    NeighbourKnown = 8'd2
  } tiara_neighbour_state_e;

  typedef enum logic [7:0] {
    CardKindNone = 8'd0,
    CardKindInstall = 8'd1,
    CardKindRemove = 8'd2,
    CardKindHarvest = 8'd3,
    CardKindRemoved = 8'd17,
    CardKindHarvested = 8'd18,
    CardKindHarvestEnd = 8'd19
  } tiara_card_kind_e;

  typedef enum logic [7:0] {
    CardRemovedFound = 8'd1,
    CardRemovedSeen = 8'd2
  } tiara_card_removed_e;

  typedef enum logic [7:0] {
    CardReasonNone = 8'd0,
    CardReasonMiss = 8'd1,
    CardReasonOpens = 8'd2,
    CardReasonCloses = 8'd3,
    CardReasonFragment = 8'd4,
    CardReasonOptions = 8'd5,
    CardReasonTtl = 8'd6,
    CardReasonOther = 8'd7,
    CardReasonNoService = 8'd8,
    CardReasonTooBig = 8'd9,
    CardReasonNoBackend = 8'd10
  } tiara_card_reason_e;

  localparam int unsigned EntryBytes = 16;
  typedef struct packed {
    logic [7:0] flags;
    logic [7:0] state;
    logic [15:0] last_seen;
    logic [31:0] backend_idx;
    logic [15:0] service_idx;
    logic [15:0] client_port;
    logic [31:0] client_addr;
  } tiara_entry_t;

  localparam int unsigned TentativeBytes = 16;
  typedef struct packed {
    logic [7:0] flags;
    logic [7:0] state;
    logic [7:0] owner;
    logic [7:0] tick;
    logic [31:0] nonce;
    logic [15:0] service_idx;
    logic [15:0] client_port;
    logic [31:0] client_addr;
  } tiara_tentative_t;

  localparam int unsigned BucketBytes = 64;
  typedef struct packed {
    tiara_entry_t [3:0] entry;
  } tiara_bucket_t;

  localparam int unsigned ServiceBytes = 64;
  typedef struct packed {
    logic [3:0][7:0] pad;
    logic [31:0] rate_idx;
    logic [31:0] new_max_per_s;
    logic [31:0] source_cnt;
    logic [63:0] source_off;
    logic [7:0][15:0] timeout_ticks;
    logic [31:0] flags;
    logic [31:0] select_cnt;
    logic [63:0] select_off;
    logic [7:0] use_;
    logic [7:0] protocol;
    logic [15:0] port;
    logic [31:0] vip;
  } tiara_service_t;

  localparam int unsigned SourceBytes = 8;
  typedef struct packed {
    logic [31:0] last;
    logic [31:0] first;
  } tiara_source_t;

  localparam int unsigned RateBytes = 64;
  typedef struct packed {
    logic [55:0][7:0] pad;
    logic [63:0] full;
  } tiara_rate_t;

  localparam int unsigned BackendBytes = 32;
  typedef struct packed {
    logic [6:0][7:0] pad;
    logic [7:0] ramp_tenths;
    logic [31:0] connection_max;
    logic [5:0][7:0] inner_mac;
    logic [15:0] tunnel_port;
    logic [31:0] vni;
    logic [7:0] use_;
    logic [7:0] forward;
    logic [15:0] port;
    logic [31:0] addr;
  } tiara_backend_t;

  localparam int unsigned FrontendBytes = 16;
  typedef struct packed {
    logic [5:0][7:0] pad;
    logic [15:0] service_idx;
    logic [7:0] use_;
    logic [7:0] protocol;
    logic [15:0] port;
    logic [31:0] vip;
  } tiara_frontend_t;

  localparam int unsigned ServiceNameBytes = 96;
  typedef struct packed {
    logic [6:0][7:0] pad;
    logic [7:0] use_;
    logic [63:0] use_generation;
    logic [15:0][7:0] uid;
    logic [63:0][7:0] service;
  } tiara_service_name_t;

  localparam int unsigned BackendNameBytes = 160;
  typedef struct packed {
    logic [6:0][7:0] pad;
    logic [7:0] use_;
    logic [63:0] use_generation;
    logic [15:0][7:0] uid;
    logic [63:0][7:0] backend;
    logic [63:0][7:0] pool;
  } tiara_backend_name_t;

  localparam int unsigned RootBytes = 128;
  typedef struct packed {
    logic [15:0][7:0] pad;
    logic [7:0][15:0] timeout_min_ticks;
    logic [63:0] gone_generation;
    logic [31:0] limits_known;
    logic [31:0] frontend_cnt;
    logic [31:0] backend_cnt;
    logic [31:0] service_cnt;
    logic [63:0] backend_name_off;
    logic [63:0] service_name_off;
    logic [63:0] frontend_off;
    logic [63:0] backend_off;
    logic [63:0] service_off;
    logic [1:0][63:0] select_secret;
    logic [63:0] revision;
    logic [63:0] generation;
  } tiara_root_t;

  localparam int unsigned NeighbourBytes = 16;
  typedef struct packed {
    logic [31:0] heard;
    logic [7:0] probes;
    logic [7:0] state;
    logic [5:0][7:0] mac;
    logic [31:0] addr;
  } tiara_neighbour_t;

  localparam int unsigned MoveLogBytes = 65536;
  typedef struct packed {
    logic [8190:0][63:0] key;
    logic [63:0] cnt;
  } tiara_move_log_t;

  localparam int unsigned WorkerSlotBytes = 64;
  typedef struct packed {
    logic [7:0][7:0] pad;
    logic [31:0] queue_;
    logic [31:0] lcore;
    logic [63:0] unconfirmed;
    logic [63:0] idle_cycles;
    logic [63:0] busy_cycles;
    logic [63:0] bursts;
    logic [63:0] sweep_slice;
    logic [63:0] generation;
  } tiara_worker_slot_t;

  localparam int unsigned WorkerCountersBytes = 832;
  typedef struct packed {
    logic [31:0][7:0] pad;
    logic [63:0] tx_bytes;
    logic [63:0] tx_pkts;
    logic [63:0] rx_bytes;
    logic [63:0] rx_pkts;
    logic [31:0][63:0] event_cnt;
    logic [63:0][63:0] verdict_pkts;
  } tiara_worker_counters_t;

  localparam int unsigned FlowCounterBytes = 32;
  typedef struct packed {
    logic [63:0] limit_cnt;
    logic [63:0] connections;
    logic [63:0] bytes;
    logic [63:0] pkts;
  } tiara_flow_counter_t;

  localparam int unsigned NodeBytes = 192;
  typedef struct packed {
    logic [63:0][7:0] port_name;
    logic [63:0][7:0] version;
    logic [63:0] first_forward_ns;
    logic [63:0] start_ns;
    logic [63:0] start_cnt;
    logic [63:0] tsc_hz;
    logic [31:0] worker_cnt;
    logic [5:0][7:0] kernel_mac;
    logic [5:0][7:0] port_mac;
    logic [31:0] mtu_bytes;
    logic [31:0] netmask;
    logic [31:0] gateway;
    logic [31:0] address;
  } tiara_node_t;

  localparam int unsigned SegmentBytes = 576;
  typedef struct packed {
    tiara_node_t node;
    logic [47:0][7:0] pad4;
    logic [63:0] sweep_restarts;
    logic [63:0] sweep_claimed;
    logic [47:0][7:0] pad3;
    logic [31:0] recounting;
    logic [31:0] tick;
    logic [63:0] tick_next_tsc;
    logic [39:0][7:0] pad2;
    logic [63:0] unconfirmed;
    logic [63:0] released_generation;
    logic [63:0] generation;
    logic [23:0][7:0] pad1;
    logic [63:0] rate_off;
    logic [63:0] move_log_off;
    logic [63:0] move_off;
    logic [1:0][63:0] table_secret;
    logic [63:0] table_off;
    logic [63:0] heap_bytes;
    logic [63:0] heap_off;
    logic [63:0] neighbour_off;
    logic [63:0] root_off;
    logic [63:0] counter_stride;
    logic [63:0] counter_off;
    logic [63:0] worker_off;
    logic [31:0] pad0;
    logic [31:0] neighbour_cnt;
    logic [63:0] bucket_cnt;
    logic [31:0] backend_max;
    logic [31:0] service_max;
    logic [31:0] worker_max;
    logic [31:0] page_bytes;
    logic [63:0] created_ns;
    logic [63:0] total_bytes;
    logic [63:0] layout_id;
    logic [7:0][7:0] magic;
  } tiara_segment_t;

  localparam int unsigned PackedConnectionBytes = 16;
  typedef struct packed {
    logic [7:0] flags;
    logic [7:0] state;
    logic [15:0] idle_s;
    logic [31:0] backend_pos;
    logic [15:0] service_pos;
    logic [15:0] client_port;
    logic [31:0] client_addr;
  } tiara_packed_connection_t;

  localparam int unsigned CardEntryBytes = 16;
  typedef struct packed {
    logic [7:0] flags;
    logic [7:0] state;
    logic [15:0] generation;
    logic [31:0] backend_line;
    logic [15:0] service_idx;
    logic [15:0] client_port;
    logic [31:0] client_addr;
  } tiara_card_entry_t;

  localparam int unsigned CardCommandBytes = 32;
  typedef struct packed {
    tiara_card_entry_t entry;
    logic [31:0] harvest;
    logic [31:0] slot;
    logic [31:0] number;
    logic [15:0] epoch;
    logic [7:0] channel;
    logic [7:0] kind;
  } tiara_card_command_t;

  localparam int unsigned CardAnswerBytes = 32;
  typedef struct packed {
    logic [1:0][63:0] seen;
    logic [31:0] harvest;
    logic [31:0] slot;
    logic [31:0] number;
    logic [15:0] epoch;
    logic [7:0] channel;
    logic [7:0] kind;
  } tiara_card_answer_t;

  localparam int unsigned CardServiceBytes = 16;
  typedef struct packed {
    logic [5:0][7:0] pad;
    logic [15:0] service_idx;
    logic [7:0] valid;
    logic [7:0] protocol;
    logic [15:0] port;
    logic [31:0] vip;
  } tiara_card_service_t;

  localparam int unsigned CardBackendBytes = 64;
  typedef struct packed {
    logic [27:0][7:0] pad;
    logic [7:0] valid;
    logic [7:0] forward;
    logic [15:0] mtu_bytes;
    logic [5:0][7:0] inner_mac;
    logic [15:0] tunnel_port;
    logic [31:0] vni;
    logic [31:0] local_addr;
    logic [31:0] addr;
    logic [5:0][7:0] port_mac;
    logic [5:0][7:0] next_hop_mac;
  } tiara_card_backend_t;

  localparam int unsigned CardMetaBytes = 32;
  typedef struct packed {
    logic [12:0][7:0] pad;
    logic [7:0] reason;
    logic [15:0] service_idx;
    logic [63:0] hash;
    logic [63:0] key;
  } tiara_card_meta_t;

  /* verilator lint_on UNUSEDPARAM */

endpackage
