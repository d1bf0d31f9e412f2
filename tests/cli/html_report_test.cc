// The HTML report shows what it is given as text, whatever that is.
#include "cli/html_report.h"

#include <gtest/gtest.h>

namespace consilium::cli {
namespace {

TEST(HtmlReport, APlansWordsAreTextAndNothingElse) {
  Value study;
  study.Set("name", "<script>alert(1)</script>").Set("purpose", "a & b \"c\" <img src=x>").Set("warning", "careful");
  const std::string html = HtmlReport(study, {});
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(html.find("a &amp; b &quot;c&quot;"), std::string::npos);
  EXPECT_NE(html.find("class=\"warning\">careful"), std::string::npos);
}

TEST(HtmlReport, WhatIsNotDefinedIsCalledThatAndNeverANumber) {
  Value evaluation;
  evaluation.Set("round", 1).Set("rows", 12).Set("auroc_low", Value()).Set("auroc_high", Value()).Set("brier", 0.25);
  Value results;
  results.Set("evaluation", evaluation);
  Value study;
  study.Set("name", "a").Set("results", results);
  const std::string html = HtmlReport(study, {});
  EXPECT_NE(html.find("not defined"), std::string::npos) << html;
  EXPECT_NE(html.find("0.250"), std::string::npos);
  EXPECT_EQ(html.find("<svg"), std::string::npos) << "there is nothing to draw";
}

TEST(HtmlReport, AHospitalThatWithholdsReadsNotReleased) {
  Value released{Value::Array{}};
  released.Push(Value()
                    .Set("name", "hospital-a")
                    .Set("released", true)
                    .Set("rows", 46)
                    .Set("auroc", 0.875)
                    .Set("auroc_low", 0.87)
                    .Set("auroc_high", 0.88)
                    .Set("accuracy", 0.75)
                    .Set("brier", 0.125));
  released.Push(Value().Set("name", "<b>hospital-b").Set("released", false));
  Value study;
  study.Set("name", "a").Set("results", Value().Set("released", std::move(released)));
  const std::string html = HtmlReport(study, {});
  EXPECT_NE(html.find("<td>hospital-a</td><td class=\"n\">46</td><td class=\"n\">0.875 [0.870, 0.880]</td>"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("<tr><td>&lt;b&gt;hospital-b</td><td colspan=\"6\">not released</td></tr>"), std::string::npos);
  EXPECT_EQ(HtmlReport(Value().Set("name", "a"), {}).find("own figures"), std::string::npos);
}

}  // namespace
}  // namespace consilium::cli
