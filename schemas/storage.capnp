# What the daemons keep in their databases: the blobs of the table state(core, key, blob) and the rows of chain(name, seq,
# prev, row, hash). These comments are the specification; docs/protocol.md says when each is written.
#
# A record is a message in the standard framing, read back by the daemon that wrote it, so it is trusted but not believed:
# it may have several segments and be as large as its model (10 million parameters are 80 MB), its traversal limit is
# 1024 + 2 * its words, and anything off (a byte cut off or to spare, an unknown enumerant, a field of the wrong length)
# is "corrupt": the daemon stops and says which record. The database's user_version is the version of this file;
# fields are only ever added.
#
# Digests, keys and study ids are Data of 32 bytes. Wall times are milliseconds since 1970, for display alone.
#
# Two things are kept as canonical JSON (RFC 8785) instead, so that any JSON tool can check them:
#   * RosterRecord, state "roster/<seq>" of both daemons: the signed roster as it travelled,
#     {"roster": text, "signatures": [{"key", "signature"}]}. The signatures are over those very bytes.
#     State "draft/next" of the coordinator is the next one as it is proposed, with the signatures so far, in the same form.
#   * AuditRow, a row of the chain "audit" of both daemons: {"event", "at_ms", "study"?, "round"?, "attempt"?, "hospital"?, ...}.
#     hash = SHA-256(u64 LE seq | prev | row), and an exported log is these rows with their hashes.
@0xe5c3fb6ae96a4c62;

using Cxx = import "/capnp/c++.capnp";
using Wire = import "wire.capnp";
$Cxx.namespace("consilium::schema");

struct AlgorithmState {
  # Inside StudyRecord: what an algorithm keeps between answers. A function of the plan and the answers, so that it can be compared
  # between hospitals by its digest: vectors by ascending name, results canonical.
  step @0 :UInt32;                      # Answers absorbed.
  vectors @1 :List(NamedVector);        # Names strictly ascending; at most 1,024.
  results @2 :Data;                     # Canonical JSON.
  bases @3 :Data;                       # Digests of the answers that the next query derives from, 32 bytes each.

  struct NamedVector {
    name @0 :Text;                      # For example "global".
    values @1 :List(Float64);           # At most 2^27.
  }
}

struct RoundRecord {
  # Inside StudyRecord: the coordinator's attempt in flight. Durable before its invitations leave, repeated as it is after a
  # restart; gone with the transaction that has the answer or the failure.
  round @0 :UInt32;
  attempt @1 :UInt32;
  query @2 :Data;                       # Canonical JSON.
  cohort @3 :List(UInt32);              # U, ascending.
  roster @4 :Data;                      # H of the roster that numbers U.
  lastRelease @5 :Data;                 # What the context was bound to.
  inputs @6 :List(Wire.Blob);
  boot @7 :Data;                        # 16 bytes: the boot of the machine that the attempt was begun in, as the kernel names it; zero:
                                        # not known. Together with openedUs its deadline: docs/decisions/0010-the-deadline-of-an-attempt.md.
  openedUs @8 :Int64;                   # Microseconds of CLOCK_BOOTTIME at the beginning.
}

struct StudyRecord {
  # Coordinator, state "study/<id>".
  plan @0 :Data;                        # Canonical JSON; its H is the id.
  phase @1 :Wire.StudyPhase;
  reason @2 :Wire.Reason;
  attempts @3 :UInt32;                  # Attempts begun; one above the number in `open` never existed.
  releases @4 :UInt32;
  lastRelease @5 :Data;                 # H of the last Release envelope; zero before the first.
  releaseFrame @6 :Data;                # That envelope as sent, to repeat it.
  algorithm @7 :AlgorithmState;
  open @8 :RoundRecord;                 # Absent when no attempt is in flight.
  verdicts @9 :List(Verdict);           # Strictly ascending by hospital.
  submittedMs @10 :Int64;
  endedMs @11 :Int64;

  struct Verdict {
    hospital @0 :UInt32;                # Roster number.
    verdict @1 :Wire.PlanVerdict;
  }
}

struct ParticipantRecord {
  # Node, state "study/<id>". Written in one transaction with the ledger's COMMIT before a contribution is offered.
  plan @0 :Data;                        # Canonical JSON, as offered.
  consent @1 :Consent;
  officer @2 :Text;                     # Who decided, for the audit.
  pinnedRoster @3 :Data;                # H of the roster that was shown and pinned.
  phase @4 :Wire.StudyPhase;
  reason @5 :Wire.Reason;
  lastAttempt @6 :UInt32;               # Joined and committed: never joined again under another context, none below it either.
  lastRound @7 :UInt32;
  context @8 :Data;                     # ctx of lastAttempt.
  contribution @9 :Wire.Blob;           # Inside when small, else in the blob store. Kept until its release, a newer attempt or the study's end.
  releases @10 :UInt32;
  lastRelease @11 :Data;
  model @12 :Wire.Blob;                 # Of the last release.
  results @13 :Data;                    # Canonical JSON of the hospital's own figures. Never leaves.
  lastQuery @14 :Data;                  # Canonical JSON of the last "train" query joined, for those figures.
  reserved @15 :Bool;                   # The ledger has this study's RESERVE.
  ownFigures @16 :OwnFigures;           # Whether this hospital's figures may leave under its name, and whether they have.

  enum OwnFigures {
    withheld @0;                        # The plan asks for none, or the site's policy did not let them out when it was approved.
    allowed @1;                         # An officer approved with the policy's switch on.
    released @2;                        # Such a contribution was committed. A hospital with too few patients commits zeros: not this.
  }

  enum Consent {
    pending @0;
    approved @1;
    rejected @2;
  }
}

struct LedgerRow {
  # Node, a row of the chain "ledger": what has been promised and what has left, with full sync. RESERVE is written with the
  # approval for attempts 1 to maximum_attempts; COMMIT before the first byte of an attempt leaves; RELEASE gives unused attempts back.
  # UNLOCK is an officer's word that the rows before it stand as they are: for the whole ledger (study zero, attempts 0 to 0),
  # then for each study that the records know more of, attempts 1 to the last one used.
  # One encoding: the rows are hashed.
  kind @0 :Kind;
  study @1 :Data;
  firstAttempt @2 :UInt32;              # Attempts [first, last].
  lastAttempt @3 :UInt32;
  mechanism @4 :Text;                   # "none": no differential privacy.
  q @5 :Float64;                        # Sampling rate and noise multiplier of the mechanism; 0 with "none".
  z @6 :Float64;
  wallMs @7 :Int64;
  after @8 :Data;                       # UNLOCK: the head's hash that it follows, whatever the rows before it give; else zero.
  seen @9 :Wire.ChainHead;              # UNLOCK: the coordinator's witness that it lets go of; zero when there is none.

  enum Kind {
    reserve @0;
    commit @1;
    release @2;
    unlock @3;
  }
}
