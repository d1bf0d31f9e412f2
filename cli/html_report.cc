#include "cli/html_report.h"

#include <fmt/format.h>

#include <ctime>
#include <vector>

namespace consilium::cli {
namespace {

constexpr double kWidth = 340, kHeight = 240, kLeft = 58, kBottom = 38, kTop = 14, kRight = 14;

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(static_cast<unsigned char>(c) < ' ' && c != '\n' ? ' ' : c);
    }
  }
  return out;
}
std::string Text(const Value& value) { return Escape(value.AsString()); }

std::string Figure(const Value& value, int digits = 3) {
  return value.IsNumber() ? fmt::format("{:.{}f}", value.AsDouble(), digits) : "–";
}
std::string Count(const Value& value) { return value.IsNumber() ? fmt::format("{:.0f}", value.AsDouble()) : "–"; }

std::string Date(const Value& ms) {
  if (ms.AsInteger() <= 0) return "–";
  const std::time_t seconds = static_cast<std::time_t>(ms.AsInteger() / 1000);
  std::tm parts{};
  char text[32];
  gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

struct Point {
  double x, y;
};

// Axes from (x0, y0) to (x1, y1), five ticks each.
class Chart {
 public:
  Chart(double x0, double x1, double y0, double y1, std::string x_name, std::string y_name)
      : x0_(x0), x1_(x1 > x0 ? x1 : x0 + 1), y0_(y0), y1_(y1 > y0 ? y1 : y0 + 1) {
    for (int i = 0; i <= 4; ++i) {
      const double x = x0_ + (x1_ - x0_) * i / 4, y = y0_ + (y1_ - y0_) * i / 4;
      inner_ += fmt::format(R"(<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>)", X(x), kTop,
                            kHeight - kBottom);
      inner_ += fmt::format(R"(<line class="grid" y1="{0:.1f}" y2="{0:.1f}" x1="{1:.1f}" x2="{2:.1f}"/>)", Y(y), kLeft,
                            kWidth - kRight);
      inner_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{:.4g}</text>)", X(x),
                            kHeight - kBottom + 14, x);
      inner_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{:.3g}</text>)", kLeft - 5, Y(y) + 3, y);
    }
    inner_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                          (kLeft + kWidth - kRight) / 2, kHeight - 6, x_name);
    inner_ += fmt::format(R"svg(<text transform="translate(11,{:.1f}) rotate(-90)" text-anchor="middle">{}</text>)svg",
                          (kTop + kHeight - kBottom) / 2, y_name);
  }
  void Line(const std::vector<Point>& points, std::string_view style) {
    std::string path;
    for (const Point& p : points) path += fmt::format("{:.1f},{:.1f} ", X(p.x), Y(p.y));
    inner_ += fmt::format(R"(<polyline class="{}" points="{}"/>)", style, path);
  }
  void Dots(const std::vector<Point>& points) {
    for (const Point& p : points) inner_ += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3"/>)", X(p.x), Y(p.y));
  }
  [[nodiscard]] std::string Svg(std::string_view title) const {
    return fmt::format(R"(<figure><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img">{}</svg></figure>)"
                       "\n",
                       title, kWidth, kHeight, inner_);
  }

 private:
  [[nodiscard]] double X(double x) const { return kLeft + (x - x0_) / (x1_ - x0_) * (kWidth - kLeft - kRight); }
  [[nodiscard]] double Y(double y) const {
    return kHeight - kBottom - (y - y0_) / (y1_ - y0_) * (kHeight - kBottom - kTop);
  }
  double x0_, x1_, y0_, y1_;
  std::string inner_;
};

std::string LearningCurve(const Value& results) {
  std::vector<Point> auroc, loss;
  double last = 1;
  for (const Value& e : results["evaluations"].AsArray()) {
    const double round = e["round"].AsDouble();
    last = std::max(last, round);
    if (e["auroc"].IsNumber()) auroc.push_back({round, e["auroc"].AsDouble()});
    if (e["log_loss"].IsNumber()) loss.push_back({round, e["log_loss"].AsDouble()});
  }
  if (auroc.empty()) return "";
  const auto range = [](const std::vector<Point>& points) {
    auto [least, most] = std::ranges::minmax_element(points, {}, &Point::y);
    const double margin = std::max(0.005, (most->y - least->y) * 0.15);
    return std::pair(least->y - margin, most->y + margin);
  };
  const auto [a0, a1] = range(auroc);
  Chart curve(0, last, a0, a1, "round", "AUROC");
  curve.Line(auroc, "line");
  curve.Dots(auroc);
  std::string out = curve.Svg("Learning curve: pooled AUROC");
  if (loss.empty()) return out;
  const auto [l0, l1] = range(loss);
  Chart losses(0, last, l0, l1, "round", "log loss");
  losses.Line(loss, "line");
  losses.Dots(loss);
  return out + losses.Svg("Learning curve: pooled log loss");
}

std::string RocChart(const Value& evaluation) {
  std::vector<Point> points;
  for (const Value& p : evaluation["roc"].AsArray())
    points.push_back({p.AsArray().at(0).AsDouble(), p.AsArray().at(1).AsDouble()});
  if (points.empty()) return "";
  Chart chart(0, 1, 0, 1, "false positive rate", "true positive rate");
  chart.Line({{0, 0}, {1, 1}}, "chance");
  chart.Line(points, "line");
  return chart.Svg(fmt::format("ROC over all held-out patients (AUROC {} to {})", Figure(evaluation["auroc_low"], 4),
                               Figure(evaluation["auroc_high"], 4)));
}

std::string CalibrationChart(const Value& evaluation) {
  std::vector<Point> points;
  for (const Value& range : evaluation["calibration"].AsArray()) {
    if (range["score"].IsNumber() && range["positive"].IsNumber())
      points.push_back({range["score"].AsDouble(), range["positive"].AsDouble()});
  }
  if (points.empty()) return "";
  Chart chart(0, 1, 0, 1, "mean predicted probability", "observed share");
  chart.Line({{0, 0}, {1, 1}}, "chance");
  chart.Line(points, "line");
  chart.Dots(points);
  return chart.Svg("Calibration (ranges of few patients are left out)");
}

std::string HospitalTable(const Value& study) {
  std::string out = "<h2>Hospitals</h2>\n<table><tr><th>hospital</th><th>consent</th><th>last sum</th></tr>\n";
  for (const Value& h : study["hospitals"].AsArray()) {
    const std::string& absent = h["absent_reason"].AsString();
    const bool in = h["verdict"].AsString() == "approved" && study["releases"].AsInteger() > 0;
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", Text(h["name"]), Text(h["verdict"]),
                       !absent.empty() ? "left out: " + Escape(absent)
                       : in            ? "in it"
                                       : "–");
  }
  return out + "</table>\n";
}

// Not defined where the patients held out are of one class.
std::string Auroc(const Value& value) { return value.IsNumber() ? Figure(value) : "not defined"; }

std::string ComparisonTable(const Value& comparison) {
  if (!comparison.IsArray()) return "";
  std::string out =
      "<h2>AUROC on each hospital's own held-out patients</h2>\n<table><tr><th>hospital</th><th "
      "class=\"n\">patients</th>"
      "<th class=\"n\">local</th><th class=\"n\">federated</th><th class=\"n\">pooled</th></tr>\n";
  for (const Value& h : comparison.AsArray()) {
    out += fmt::format(
        R"(<tr><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td></tr>)"
        "\n",
        Text(h["name"]), Count(h["patients"]), Auroc(h["local"]), Auroc(h["federated"]), Auroc(h["pooled"]));
  }
  return out +
         "</table>\n<p>Local: trained at that hospital alone. Pooled: on all patients in one place. Per-hospital "
         "figures "
         "never leave a hospital; whoever made this table owns all the directories.</p>\n";
}

std::string EvaluationTable(const Value& e) {
  if (!e.IsObject()) return "";
  if (e["withheld"].AsBool()) return "<p>Too few hospitals had enough patients to be evaluated on.</p>\n";
  std::string out = "<h2>Over all hospitals' held-out patients</h2>\n<table>\n";
  const auto row = [&](std::string_view name, const std::string& value) {
    out += fmt::format(R"(<tr><th>{}</th><td class="n">{}</td></tr>)"
                       "\n",
                       name, value);
  };
  row("patients' rows", Count(e["rows"]));
  row("positives", Count(e["positives"]));
  row("AUROC (ties wrong to ties right)", e["auroc_low"].IsNumber()
                                              ? Figure(e["auroc_low"], 4) + " to " + Figure(e["auroc_high"], 4)
                                              : "not defined: all of one class");
  row("accuracy at 0.5", Figure(e["accuracy"]));
  row("Brier score", Figure(e["brier"]));
  row("log loss", Figure(e["log_loss"]));
  return out + "</table>\n";
}

// Under their names, as plan and policies have it; one that withheld reads so, never as 0.
std::string ReleasedTable(const Value& released) {
  if (!released.IsArray()) return "";
  std::string out =
      "<h2>Each hospital's own figures</h2>\n<table><tr><th>hospital</th><th class=\"n\">patients' rows</th><th "
      "class=\"n\">AUROC [ties wrong, ties right]</th><th class=\"n\">accuracy</th><th class=\"n\">Brier</th><th "
      "class=\"n\">log loss</th><th>calibration: predicted &rarr; observed (rows)</th></tr>\n";
  for (const Value& h : released.AsArray()) {
    if (!h["released"].AsBool()) {
      out += fmt::format("<tr><td>{}</td><td colspan=\"6\">not released</td></tr>\n", Text(h["name"]));
      continue;
    }
    std::string calibration;
    for (const Value& range : h["calibration"].AsArray()) {
      if (range["rows"].IsNumber())
        calibration += fmt::format("{}{} &rarr; {} ({})", calibration.empty() ? "" : ", ", Figure(range["score"], 2),
                                   Figure(range["positive"], 2), Count(range["rows"]));
    }
    const std::string auroc = h["auroc_low"].IsNumber() ? fmt::format("{} [{}, {}]", Figure(h["auroc"]),
                                                                      Figure(h["auroc_low"]), Figure(h["auroc_high"]))
                                                        : "not defined";
    out += fmt::format(
        R"(<tr><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td>{}</td></tr>)"
        "\n",
        Text(h["name"]), Count(h["rows"]), auroc, Figure(h["accuracy"]), Figure(h["brier"]), Figure(h["log_loss"]),
        calibration.empty() ? "–" : calibration);
  }
  return out +
         "</table>\n<p>Of the final model on the patients that each hospital held out. \"Not released\": the "
         "hospital's own "
         "policy keeps its figures, or too few of its patients are held out; which of the two is not said.</p>\n";
}

std::string DescribeTable(const Value& d) {
  if (!d.IsObject()) return "";
  std::string out = fmt::format(
      "<h2>Federated table 1</h2>\n<p>{} rows of {} patients, from {} of {} hospitals.</p>\n<table><tr><th>column</th>"
      "<th>unit</th><th>count</th><th>missing</th><th>mean</th><th>sd</th><th>25 %</th><th>median</th><th>75 %</th>"
      "<th>counts</th><th>from</th></tr>\n",
      Count(d["rows"]), Count(d["patients"]), Count(d["hospitals"]), Count(d["of"]));
  for (const Value& c : d["columns"].AsArray()) {
    std::string counts = c["positive"].IsNumber() ? "positive: " + Count(c["positive"]) : "";
    for (const Value& level : c["levels"].AsArray())
      counts += fmt::format("{}{}: {}", counts.empty() ? "" : ", ", Text(level["level"]), Count(level["count"]));
    out += fmt::format("<tr><td>{}</td><td>{}</td>", Text(c["name"]), Text(c["unit"]));
    for (const char* key : {"count", "missing"}) out += fmt::format(R"(<td class="n">{}</td>)", Count(c[key]));
    for (const char* key : {"mean", "sd", "q25", "median", "q75"})
      out +=
          fmt::format(R"(<td class="n">{}</td>)", c[key].IsNumber() ? fmt::format("{:.4g}", c[key].AsDouble()) : "–");
    out += fmt::format("<td>{}</td><td>{} of {}</td></tr>\n", counts, Count(c["from_k"]), Count(c["of_n"]));
  }
  return out + "</table>\n";
}

constexpr std::string_view kStyle = R"(
body{font:15px/1.45 system-ui,sans-serif;color:#1b2430;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:1.6rem 0 .5rem}
.warning{border:2px solid #b3261e;color:#b3261e;padding:.5rem .8rem;font-weight:600;margin:1rem 0}
table{border-collapse:collapse;margin:.4rem 0}th,td{border-bottom:1px solid #d5dbe3;padding:.25rem .7rem;text-align:left;
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.charts{margin-top:1.2rem;display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:30rem;max-width:100%;break-inside:avoid}
figcaption{font-weight:600;font-size:.9rem}svg{width:100%;height:auto}svg text{font-size:10px;fill:#4a5563}
.grid{stroke:#e4e8ee}.line{fill:none;stroke:#0b6e99;stroke-width:2}.chance{fill:none;stroke:#9aa5b1;stroke-dasharray:4 3}
circle{fill:#0b6e99}code{font-size:.85em;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:12px}figure{width:47%}}
)";

}  // namespace

std::string HtmlReport(const Value& study, const Value& comparison) {
  const Value& results = study["results"];
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n<p>{2}</p>\n",
      Text(study["name"]), kStyle, Text(study["purpose"]));
  if (!study["warning"].AsString().empty()) out += fmt::format("<p class=\"warning\">{}</p>\n", Text(study["warning"]));
  if (!study["notice"].AsString().empty()) out += fmt::format("<p class=\"warning\">{}</p>\n", Text(study["notice"]));
  if (!study["trouble"].AsString().empty()) out += fmt::format("<p class=\"warning\">{}</p>\n", Text(study["trouble"]));
  const std::string reason = study["reason"].AsString().empty() ? "" : ": " + Text(study["reason"]);
  out += fmt::format(
      "<table>\n<tr><th>study</th><td><code>{}</code></td></tr>\n<tr><th>researcher</th><td>{}</td></tr>\n"
      "<tr><th>state</th><td>{}{}</td></tr>\n<tr><th>submitted</th><td>{}</td></tr>\n<tr><th>ended</th><td>{}</td></"
      "tr>\n"
      "<tr><th>answers</th><td>{} of {}, in {} attempts</td></tr>\n",
      Text(study["study"]), Text(study["researcher"]), Text(study["phase"]), reason, Date(study["submitted_ms"]),
      Date(study["ended_ms"]), Count(study["releases"]), Count(study["total_releases"]), Count(study["attempt"]));
  if (study.Has("model_sha256"))
    out += fmt::format("<tr><th>model SHA-256</th><td><code>{}</code></td></tr>\n", Text(study["model_sha256"]));
  out += "</table>\n" + HospitalTable(study) + ComparisonTable(comparison) + EvaluationTable(results["evaluation"]) +
         ReleasedTable(results["released"]);
  const std::string charts =
      LearningCurve(results) + RocChart(results["evaluation"]) + CalibrationChart(results["evaluation"]);
  if (!charts.empty()) out += "<div class=\"charts\">\n" + charts + "</div>\n";
  return out + DescribeTable(results["describe"]) + "</body></html>\n";
}

}  // namespace consilium::cli
