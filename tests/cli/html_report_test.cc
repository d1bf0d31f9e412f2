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

}  // namespace
}  // namespace consilium::cli
