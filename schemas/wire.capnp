# What travels between a coordinator and its hospitals. These comments are the specification: who sends a message, in
# which phase, its limits, and what the receiver checks. docs/protocol.md tells the order of things.
#
#   coordinator (C)  <-- one CURVE session a hospital, dialled by the hospital -->  node (N), or i, j among hospitals
#
# A frame is at most 2 MiB and is either
#   * an envelope: one Cap'n Proto segment in the standard framing (u32 LE 0 | u32 LE words | words) of Envelope, or
#   * a chunk: u32 LE (head length | 2^31) | ChunkHead in the same framing | raw bytes.
# The first four bytes tell them apart. An envelope and a chunk's head have exactly one encoding (the one that the
# reference encoder makes: no spare words, no far pointers), so a changed byte is always found and H(frame) names one message.
#
# A payload is verified before more of it is read than which kind it is. A reader then takes one segment only, without
# bytes after it, with a traversal limit of max(1024, 4 * its words) words and 16 levels of nesting, and bounds every list
# before it looks at the first element. Anything off is answered Refused{malformed} and the session closes; a wrong
# signature likewise, with badSignature. A later version of this file adds fields at the end of structs; unknown
# fields are ignored, unknown kinds and enumerants are malformed.
#
# Types used throughout
#   * A digest, key or study id is Data of exactly 32 bytes; a signature 64. "zero" means 32 zero bytes.
#   * H is BLAKE2b-256. H of an envelope is of the whole frame as received. A study's id is H of its canonical plan.
#   * Hospitals are numbered by roster position, from 1. A set of hospitals is strictly ascending, 10,000 at most.
#   * Slots count from 0; rounds, attempts and releases from 1.
#   * Times are durations, in milliseconds, counted from the message's arrival: no clock needs to be right.
#   * Text is UTF-8 without control characters, at most 128 bytes.
#   * No message carries free text of a hospital, a count of its patients, a loss or any other figure from its data.
@0xb03371c1f9b36a2e;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("consilium::schema");

struct Envelope {
  payload @0 :Data;    # Message in the standard framing.
  signature @1 :Data;  # Ed25519 by the sender's IK over the fields "HSA1/msg" | kind | H(payload), each u32 LE length +
                       # bytes; kind is the name of the message's struct ("Hello", "Roster", ...).
}

struct ChunkHead {
  # Either way, one for each Pull. Unsigned: every leaf is checked against its hash before use.
  root @0 :Data;
  first @1 :UInt32;  # Leaves [first, first + count) follow whole: 256 KiB each, the blob's last one shorter.
  count @2 :UInt32;  # 1 to 4. The receiver closes the session of whoever sends what it did not pull.
}

struct Message {
  union {
    hello @0 :Hello;
    welcome @1 :Welcome;
    refused @2 :Refused;
    enroll @3 :Enroll;
    roster @4 :Roster;
    planOffer @5 :PlanOffer;
    planVerdict @6 :PlanVerdict;
    invite @7 :Invite;
    decline @8 :Decline;
    advert @9 :Advert;
    adverts @10 :Adverts;
    shares @11 :Shares;
    delivery @12 :Delivery;
    accept @13 :Accept;
    complaint @14 :Complaint;
    offer @15 :Offer;
    pull @16 :Pull;
    receipt @17 :Receipt;
    survivors @18 :Survivors;
    consistencySignature @19 :ConsistencySignature;
    unmask @20 :Unmask;
    unmaskShares @21 :UnmaskShares;
    release @22 :Release;
    abandon @23 :Abandon;
    heartbeat @24 :Heartbeat;
    studyState @25 :StudyState;
    rosterDraft @26 :RosterDraft;
  }
}

enum Reason {
  # Why a peer, a request or an attempt is refused or ended. An enum, so that no free text crosses a hospital's border.
  none @0;
  version @1;           # No common protocol version.
  unknownPeer @2;       # Key not in the roster.
  revoked @3;
  badToken @4;          # Unknown, spent or expired.
  nameTaken @5;
  malformed @6;         # Does not parse or breaks a limit.
  badSignature @7;
  wrongState @8;        # Not now.
  unknownStudy @9;
  notApproved @10;      # No officer here has approved the plan.
  rejected @11;         # An officer rejected it.
  policy @12;           # The site's policy forbids it.
  tooFewHospitals @13;
  tooFewPatients @14;
  dataUnfit @15;        # The data set is absent or does not fit the plan's schema.
  budget @16;           # Attempts or privacy budget used up.
  staleAttempt @17;     # At or below an attempt already joined.
  context @18;          # Another context under a number already used.
  cohort @19;           # Not in it, or not as the roster says.
  queryNotDerived @20;  # Not a query that the plan and the answers give.
  chain @21;            # A release that does not continue the chain.
  locked @22;           # The ledger is in doubt; an officer must unlock.
  deadline @23;         # Did not arrive in time.
  quorum @24;           # Below the quorum.
  offline @25;
  aborted @26;          # By the researcher.
  failedHere @27;       # The computation failed at this hospital.
  busy @28;
  shuttingDown @29;
  expired @30;          # The hospital's keys are past their validity in the roster.
  singleClass @31;      # All labelled patients of the cohort are of one class: there is nothing to learn.
}

# ---- parts ----

struct Blob {
  # A byte string named by its RFC 6962 root (SHA-256) over leaves of 256 KiB, the last one shorter; at most 4 GiB.
  # At most 64 KiB: whole, in `content`, without leaves. Larger: leaf hashes, no content, and the receiver pulls. Never both.
  # No blob is bytes 0, no content, no leaves, and the zero root or the empty tree's.
  # The receiver recomputes the root over content or leaves, and checks that there are ceil(bytes / 256 KiB) leaves.
  root @0 :Data;
  bytes @1 :UInt64;
  leaves @2 :Data;   # 32 bytes a leaf, in order; at most 16,384 leaves.
  content @3 :Data;
}

struct ChainHead {
  # The head of a hash chain: hash = SHA-256(u64 LE seq | previous | row); seq from 1 to 2^53 - 1, zero when the chain is empty.
  seq @0 :UInt64;
  hash @1 :Data;
}

struct StudyMark {
  # Where a hospital is in a study.
  study @0 :Data;
  releases @1 :UInt32;     # Releases seen, in order.
  lastRelease @2 :Data;    # H of the last one's envelope; zero when none.
}

struct Absence {
  # An approved hospital that is not in a sum, and why.
  hospital @0 :UInt32;
  reason @1 :Reason;
}

# ---- connection ----

struct Hello {
  # N -> C, first on every connection; anything else but Enroll before it is refused with wrongState.
  # C checks that a version is common (else Refused{version}), and that the session's key is an enrolled, unrevoked member.
  versionLow @0 :UInt16;
  versionHigh @1 :UInt16;             # Not below versionLow.
  build @2 :Text;                     # For the log and `hospital list` alone.
  rosters @3 :UInt64;                 # Roster versions held; roster 0 counts. C sends those that N lacks.
  studies @4 :List(StudyMark);        # At most 4,096. C sends the releases after each mark.
  ledger @5 :ChainHead;               # N's own ledger head. C keeps the highest one as a witness, unless N's officer let go of that.
  unlocked @6 :ChainHead;             # The witness that the ledger's last UNLOCK row let go of; zero when there is none.
}

struct Welcome {
  # C -> N, the answer to Hello and to Enroll. Roster, PlanOffer, Release, StudyState and Invite follow as needed.
  version @0 :UInt16;                 # Within what Hello named; N closes otherwise.
  build @1 :Text;
  federation @2 :Text;                # N checks that it is its roster's.
  rosters @3 :UInt64;                 # Roster versions that exist.
  enrolled @4 :Bool;                  # In the roster; false while `hospital confirm` is awaited.
  heartbeatMs @5 :UInt32;             # 1 to 600,000. Three missed ones and the session counts as lost.
  ledger @6 :ChainHead;               # The witness: the highest head of N's ledger that C was ever told; zero when none.
                                      # N locks its ledger when that is neither a row of its own nor Hello's `unlocked`.
}

struct Refused {
  # Both ways, at any time: a message was refused. After version, unknownPeer, revoked, malformed and badSignature the
  # sender closes the session.
  reason @0 :Reason;
  study @1 :Data;                     # Zero when it concerned none.
  attempt @2 :UInt32;                 # 0 when it concerned none.
}

struct Enroll {
  # N -> C over the token's CURVE key, the only message that this key may send; repeated as it was until answered.
  # The envelope is signed by `identity`. C checks: token is the session's key, known, unspent, unexpired; the name is
  # the token's; roster fingerprint; both signatures; no key in use already. The same bytes again get the same answer.
  token @0 :Data;                     # CURVE public key derived from the token.
  name @1 :Text;                      # Not empty.
  identity @2 :Data;                  # IK
  transport @3 :Data;                 # TK
  officer @4 :Data;                   # The first officer's key.
  rosterFingerprint @5 :Data;         # H of roster 0.
  membership @6 :Data;                # 64 bytes: by identity over the membership; kept among the roster's signatures.
}

struct Roster {
  # C -> N, after Welcome and whenever the roster grows: versions that N lacks, in order; more than 16 take several messages.
  # N checks every signature and the chain from roster 0, whose hash its token named.
  first @0 :UInt64;                   # The number of the first one.
  rosters @1 :List(Blob);             # 1 to 16 signed rosters, canonical JSON, each at most 8 MiB.
}

struct RosterDraft {
  # The next roster as it is proposed, and its signatures.
  # C -> N, after Roster and whenever it changes: what officers are asked to sign, whole, with all signatures so far; hash zero
  # and the rest empty when nothing is proposed. N checks it like a Roster but for the number of signatures, shows it to its
  # officers, and relies on nothing of it.
  # N -> C: signatures of that roster by keys of this hospital (an officer's; its old and new identity keys'), `roster` empty;
  # or, while none is proposed, a roster of its own making with them. C adds them to what it holds and tells all hospitals,
  # or extends the chain when they suffice. Refused{wrongState}: it does not follow the current roster, or a signature has no
  # part in it; Refused{busy}: another one is proposed. The same again is harmless.
  hash @0 :Data;                      # H of the roster's bytes; zero: none.
  roster @1 :Blob;                    # Canonical JSON; from N at most 64 KiB, so that it is inside.
  signatures @2 :List(Signature);     # At most 10,000, no key twice.

  struct Signature {
    key @0 :Data;
    signature @1 :Data;               # As in a signed roster.
  }
}

struct Heartbeat {
  # Both ways, every heartbeatMs; from N also when its phase changes. Phase and bytes only.
  phase @0 :Phase;
  study @1 :Data;                     # Zero when idle.
  bytesDone @2 :UInt64;               # Of the transfer under way.
  bytesTotal @3 :UInt64;

  enum Phase {
    idle @0;
    computing @1;
    offering @2;
    uploading @3;
    waiting @4;
  }
}

# ---- consent ----

struct PlanOffer {
  # C -> N: a study that asks for consent; after Hello and on submission, until a verdict is there.
  # N checks that the plan is canonical, that its hash is `study`, and keeps it pending. Nothing runs before an officer approves.
  study @0 :Data;
  plan @1 :Blob;                      # Canonical JSON, not empty.
}

struct PlanVerdict {
  # N -> C: what the hospital's officer said; again after each Hello while the study has no release. A later one replaces it.
  study @0 :Data;
  approved @1 :Bool;
  reason @2 :Reason;                  # None when approved.
  roster @3 :Data;                    # H of the roster whose members were shown and pinned.
}

struct StudyState {
  # C -> N: where a study stands; after Hello and on every change.
  study @0 :Data;
  phase @1 :StudyPhase;
  reason @2 :Reason;                  # Why it is paused, aborted or failed.
  releases @3 :UInt32;
}

enum StudyPhase {
  awaitingConsent @0;
  running @1;
  paused @2;
  complete @3;
  aborted @4;
  failed @5;
}

# ---- a round ----

struct Invite {
  # C -> N: take part in an attempt at a round's sum. Durable at C before it leaves, and repeated as it was after a restart or a
  # reconnection while the hospital's contribution is missing. Never to a hospital without an approving verdict.
  # N checks: approved here; own number in cohort; members of that roster; at least n_min of them; attempt above its
  # last (the same attempt under the same context gets the same Offer again) and at most the plan's maximum; lastRelease its own;
  # the query is one that the plan allows, and in the secure profile the one it derives itself.
  study @0 :Data;
  round @1 :UInt32;                   # From 1.
  attempt @2 :UInt32;                 # Of the study, from 1; never returns.
  slot @3 :UInt32;                    # 0 in the visible profile; below 64.
  query @4 :Blob;                     # Canonical JSON, not empty. Empty in a set-up invitation.
  cohort @5 :List(UInt32);            # U; in HSA-1 U2.
  roster @6 :Data;                    # H of the roster that numbers them.
  lastRelease @7 :Data;               # H of the study's last Release envelope; zero before the first.
  inputs @8 :List(Blob);              # What the query's params.inputs names; at most 16.
  timeLeftMs @9 :UInt32;              # Until C stops waiting.
  sid @10 :Data;                      # Secure profile: the set-up that serves this sum; empty in the visible one.
  setup @11 :Setup;                   # Secure profile: this is R0, it asks for an Advert; absent otherwise.
  accepts @12 :List(Data);            # HSA-1: the Accept envelopes of U2 as received, ascending (they give h2); with slot 0.
}

struct Setup {
  # R0: the fields of sid that the invitation does not have (protocol version, federation and plan are known to both).
  counter @0 :UInt32;                 # Set-ups of this study, from 1.
  slots @1 :UInt32;                   # 1 to 64; in HSA-1 a power of two. All adverts carry exactly that many.
  n @2 :UInt32;                       # = the size of cohort.
  t @3 :UInt32;                       # floor(2n/3) + 1; straight: 0.
  m @4 :UInt32;                       # max(t, n - dropouts); straight: 0.
  pastRound @5 :UInt32;               # The round after which saved states are compared.
}

struct Decline {
  # N -> C, instead of Offer: not in this attempt, and why. C goes on without it; also harmless after the attempt's end.
  study @0 :Data;
  attempt @1 :UInt32;
  reason @2 :Reason;
}

struct Offer {
  # N -> C: the contribution is committed (the ledger's COMMIT is synced) and may be pulled, or is inside. Repeated for a
  # repeated Invite. C checks: of U; the context is its own; one root an attempt (another one is refused with context and
  # audited); bytes as the query says.
  study @0 :Data;
  attempt @1 :UInt32;
  context @2 :Data;                   # ctx; docs/protocol.md says over what.
  vector @3 :Blob;                    # Ring words, little-endian; not empty.
  ledger @4 :ChainHead;               # N's ledger head; C's next witness. Durable at C with or before the answer.
}

struct Receipt {
  # C -> N: your contribution of this attempt has arrived whole and verified. Repeated for a repeated Offer.
  study @0 :Data;
  attempt @1 :UInt32;
  root @2 :Data;
}

struct Release {
  # C -> all approved hospitals: R6, the answer's digest and what follows from it. Durable before it leaves, repeated as it was.
  # N checks the signature, seq = own + 1 and previous = own last (one that was away takes a later one, and is bound from there).
  # The chain of a study's releases binds all hospitals to one model.
  study @0 :Data;
  seq @1 :UInt32;                     # From 1.
  round @2 :UInt32;
  attempt @3 :UInt32;
  previous @4 :Data;                  # H of the previous Release envelope; zero for the first.
  query @5 :Data;                     # H of the query.
  answer @6 :Data;                    # The answer's digest: query, survivors and root of its words.
  survivors @7 :List(UInt32);
  absent @8 :List(Absence);           # Ascending by hospital.
  transcript @9 :Data;                # H over the receipted roots, ascending.
  model @10 :Blob;                    # The next model's parameters; no blob when the algorithm has none.
  last @11 :Bool;                     # The study is complete with this release.
}

struct Abandon {
  # C -> N: the attempt is over without an answer; N drops what it computes for it and keeps what it committed.
  # N -> C: this attempt cannot go on here (failedHere, shuttingDown). Harmless when the attempt is over already.
  study @0 :Data;
  attempt @1 :UInt32;
  reason @2 :Reason;
}

struct Pull {
  # Receiver -> sender of a blob: its leaves [first, first + count); the credit of one Chunk. At most 4 unanswered to a
  # peer and 16 overall. The sender checks that it offered this blob to this peer and that the leaves exist.
  root @0 :Data;
  first @1 :UInt32;                   # Below 16,384.
  count @2 :UInt32;                   # 1 to 4.
}

# ---- the secure profile: declared, not sent yet. A peer that sends one is answered Refused{wrongState}. ----
# An Invite with a set-up, a sid or accepts counts among them.

struct Advert {
  # R1, i -> C -> all, once a sid. Checked by every member: all signatures; keys unique, not of small order; its own entry
  # exact; nobody revoked; at least t adverts (straight: n_min); every `seen` of me is a head that I advertised, else I lock.
  sid @0 :Data;
  hospital @1 :UInt32;
  key @2 :Data;                       # E_i, X25519.
  slotKeys @3 :Data;                  # HSA-1: S_i | cb_i, 64 bytes a slot, exactly `slots` of them; empty in straight.
  ledger @4 :ChainHead;
  savedState @5 :Data;                # Digest of the algorithm's saved state after pastRound; empty when it has none.
  seen @6 :List(Seen);                # Ascending; every other member of the cohort whose head I ever saw.
}

struct Seen {
  hospital @0 :UInt32;
  digest @1 :Data;                    # BLAKE2b("HSA1/seen" | sid | i | j | seq | head) of j's last head that i saw.
}

struct Adverts {
  # R1, C -> all: the Advert envelopes as received, ascending, 2 to 150. h1 = H("HSA1/adverts" | envelope | ...).
  sid @0 :Data;
  adverts @1 :List(Data);
}

struct Shares {
  # R2, i -> C, and on to every j in Delivery: the root of i's shares for all members of h1, itself included, as an RFC 6962
  # tree over BLAKE2b("HSA1/share" | sid | slot | "a" or "b" | i | j; key share), order j, slot, a before b.
  sid @0 :Data;
  h1 @1 :Data;
  hospital @2 :UInt32;                # i
  root @3 :Data;
  parcels @4 :Blob;                   # One Parcel a member, ascending; always pulled, never inside.
}

struct Parcel {
  # i's shares for j. Unsigned: authenticated by AEAD and by the root in i's Shares.
  to @0 :UInt32;                      # j
  sealed @1 :Data;                    # XChaCha20-Poly1305: for each slot the share of a, then of b, 32 bytes each.
  leaves @2 :Data;                    # j's leaves: 64 bytes a slot.
  path @3 :Data;                      # From j's subtree to the root, 32 bytes a level.
}

struct Delivery {
  # R2, C -> j: what every dealer sent to j, ascending, one from each member of h1.
  # j checks: decrypts; source, destination and leaves match; the path gives the root; scalars are canonical.
  sid @0 :Data;
  dealers @1 :List(Dealer);           # 2 to 150.

  struct Dealer {
    shares @0 :Data;                  # i's Shares envelope as received.
    parcel @1 :Parcel;
  }
}

struct Accept {
  # R2a, i -> C: the dealers whose shares i accepts. U2 = those whom every member accepts; at least m of them.
  # h2 = H("HSA1/accepts" | j | root_j | H(accept_j) | ...) over U2, ascending; e_i is wiped.
  sid @0 :Data;
  h1 @1 :Data;
  hospital @2 :UInt32;                # i
  accepted @3 :List(Root);            # Ascending by dealer, 1 to 150.
}

struct Root {
  hospital @0 :UInt32;
  root @1 :Data;
}

struct Complaint {
  # R2a, i -> C: shares of this dealer do not check. Restarts the set-up without charge; a pair that complains twice is left
  # out, both, and officers are told.
  sid @0 :Data;
  h1 @1 :Data;
  hospital @2 :UInt32;                # i
  dealer @3 :UInt32;
  shares @4 :Data;                    # The dealer's Shares envelope as delivered; empty when none came.
}

struct Survivors {
  # R4, C -> i, only if U3 is not U2: who has uploaded, with the receipted roots.
  # i checks: itself in U3 with its own root; U3 within U2; at least m; no R5 answered in this slot.
  context @0 :Data;                   # ctx
  survivors @1 :List(Root);           # U3, ascending, 2 to 150.
}

struct ConsistencySignature {
  # R4, i -> C: i stands by this U3 and will never take the fast path in this slot. One a slot: the same question gets the
  # same bytes, a different second one is refused and audited.
  context @0 :Data;
  survivors @1 :Data;                 # H(U3) = H("HSA1/survivors" | i | root_i | ...).
}

struct Unmask {
  # R5, C -> i. All present: `signatures` and `absent` are empty, and shares of b are asked for U2. Otherwise: shares of b for
  # U3 and of a for U2 \ U3. i checks: own upload receipted; survivors and absent disjoint and together U2; in the slow case
  # at least t ConsistencySignature envelopes, as received, of members of U3 over this U3. Never both shares of one peer.
  context @0 :Data;
  survivors @1 :List(Root);           # U3, ascending, 2 to 150.
  absent @2 :List(UInt32);            # U2 \ U3
  signatures @3 :List(Data);
}

struct UnmaskShares {
  # R5, i -> C: one answer a slot, repeated as it was. C rebuilds, checks cb_j and S_j, and attributes a mismatch by the leaves.
  context @0 :Data;
  selfShares @1 :List(Share);         # Of b, for survivors, ascending.
  maskShares @2 :List(Share);         # Of a, for the absent, ascending; empty on the fast path.
  pairKeys @3 :List(Share);           # With a pre-shared key: p_ij of i and every absent j; slow path alone.

  struct Share {
    hospital @0 :UInt32;              # j
    share @1 :Data;                   # 32 bytes; a canonical scalar but for pairKeys.
  }
}
