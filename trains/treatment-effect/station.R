# Step "run": what one station computes over its own patients.

run_station <- function(request) {
  dataset <- read_dataset(request[["dataset"]])
  time <- parameter(request, "time")
  status <- parameter(request, "status")
  event_code <- parameter(request, "event")
  arm <- parameter(request, "arm")
  treated <- parameter(request, "treated")

  patients <- data.frame(
    time = number_column(dataset, time),
    status = category_column(dataset, status),
    arm = category_column(dataset, arm)
  )
  if (nlevels(patients$arm) != 2) fail("the column '", arm, "' must have two levels for a two-sample test")
  if (!treated %in% levels(patients$arm)) fail("'", treated, "' is not a level of '", arm, "'")
  if (!event_code %in% levels(patients$status)) fail("'", event_code, "' is not a level of '", status, "'")

  complete <- complete.cases(patients)
  if (!all(complete)) message(sum(!complete), " patients left out: a value is missing")
  patients <- patients[complete, ]
  if (any(patients$time < 0)) fail("the column '", time, "' has a negative time")

  test <- log_rank(patients$time, patients$status == event_code, patients$arm == treated)
  columns <- c(arm = arm, status = status)
  list(schema = "pht-result/v1", outputs = list(
    list(
      id = "log_rank", kind = "StatisticalHypothesisTests", title = "Log-rank test",
      test = "log-rank", var = arm, arm = treated, arms = 2L, n = nrow(patients),
      u = exact(test$u), v = exact(test$v)
    ),
    frequencies("patients", "Patients by arm", patients["arm"], columns),
    frequencies("events", "Patients by arm and status", patients[c("arm", "status")], columns)
  ))
}

# U = O - E in the treated arm and its hypergeometric variance V.
log_rank <- function(time, event, treated) {
  # With one arm only, or without an event, O equals E; survdiff would stop there.
  if (length(unique(treated)) < 2 || !any(event)) return(list(u = 0, v = 0))
  test <- survival::survdiff(survival::Surv(time, event) ~ treated) # groups in the order FALSE, TRUE
  list(u = test$obs[[2]] - test$exp[[2]], v = test$var[[2, 2]])
}

# 17 digits carry a double unchanged, jsonlite alone writes 15; the station's gate rounds, not the train.
exact <- function(number) structure(sprintf("%.17g", number), class = "json")

# All cells of a table over the codebook's levels, empty ones too.
frequencies <- function(id, title, factors, columns) {
  counts <- table(factors)
  place <- arrayInd(seq_along(counts), dim(counts)) - 1L
  list(
    id = id, kind = "Frequencies", title = title,
    dims = unname(lapply(names(factors), function(name) {
      list(var = columns[[name]], levels = as.list(levels(factors[[name]])))
    })),
    cells = lapply(seq_along(counts), function(i) list(k = as.list(place[i, ]), n = counts[[i]]))
  )
}

# The rows of all files as text, beside the station's description of the columns.
read_dataset <- function(id) {
  folder <- file.path("/data", id)
  description <- read_json(file.path(folder, "dataset.json"))
  rows <- do.call(rbind, lapply(description[["files"]], function(name) {
    read.csv(
      file.path(folder, name),
      colClasses = "character", na.strings = character(), check.names = FALSE, encoding = "UTF-8"
    )
  }))
  if (nrow(rows) == 0) fail("the dataset has no rows")
  list(rows = rows, columns = description[["columns"]])
}

# One column as text, with NA for an empty field and for the station's missing codes.
text_column <- function(dataset, name) {
  described <- Filter(function(column) identical(column[["name"]], name), dataset$columns)
  if (length(described) != 1) fail("the station describes no column '", name, "'")
  values <- dataset$rows[[name]]
  if (is.null(values)) fail("the files have no column '", name, "'")
  values <- trimws(values)
  values[values %in% c("", unlist(described[[1]][["missing"]]))] <- NA
  list(
    values = values,
    levels = unlist(described[[1]][["levels"]]),
    missing = unlist(described[[1]][["missing"]])
  )
}

number_column <- function(dataset, name) {
  column <- text_column(dataset, name)
  numbers <- suppressWarnings(as.numeric(column$values))
  # A missing code counts by value: 0 also means 0.0.
  coded <- numbers %in% suppressWarnings(as.numeric(column$missing)) & !is.na(numbers)
  column$values[coded] <- NA
  numbers[coded] <- NA
  wrong <- which(!is.na(column$values) & !is.finite(numbers))
  if (length(wrong) > 0) fail("the column '", name, "' is not a number in row ", wrong[[1]])
  numbers
}

category_column <- function(dataset, name) {
  column <- text_column(dataset, name)
  if (is.null(column$levels)) fail("the station describes no levels of '", name, "'")
  wrong <- which(!is.na(column$values) & !column$values %in% column$levels)
  if (length(wrong) > 0) fail("the column '", name, "' is outside its levels in row ", wrong[[1]])
  factor(column$values, column$levels)
}
