# The cgd trial (International CGD Cooperative Study Group, NEJM 1991;324:509-516) by group of hospitals, from R's
# survival package. Run it inside the R image: `Rscript - < scripts/export-cgd.R`. It prints one JSON object that has
# for each station the text of its CSV file: one row per patient, up to the first serious infection or the end.
suppressPackageStartupMessages(library(survival))

stations <- c(
  "nih" = "US:NIH", "us-other" = "US:other", "amsterdam" = "Europe:Amsterdam", "europe-other" = "Europe:other"
)
columns <- c("treat", "sex", "age", "height", "weight", "inherit", "steroids", "propylac", "tstop", "status")
first <- survival::cgd[survival::cgd$enum == 1, ]
stopifnot(all(first$tstart == 0), setequal(first$hos.cat, stations))

csv <- lapply(stations, function(category) {
  rows <- first[first$hos.cat == category, columns]
  paste0(paste(capture.output(write.csv(rows, row.names = FALSE, quote = FALSE)), collapse = "\n"), "\n")
})
cat(jsonlite::toJSON(csv, auto_unbox = TRUE))
