# Plans against a provider that makes nothing: no account, no network.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\": \"2012-10-17\", \"Statement\": []}"
    }
  }
}

variables {
  environment  = "staging"
  owner        = "feeds"
  region       = "eu-west-1"
  media_bucket = "photos-staging"
  sizes        = "small"
  media_keys   = { first = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n" }
}

run "unfinished_uploads_end_after_a_day_under_our_prefix_alone" {
  command = plan

  assert {
    condition     = one(aws_s3_bucket_lifecycle_configuration.media.rule[0].filter).prefix == "shutterline/"
    error_message = "The rule must be for our own objects."
  }

  assert {
    condition     = one(aws_s3_bucket_lifecycle_configuration.media.rule[0].abort_incomplete_multipart_upload).days_after_initiation == 1
    error_message = "An unfinished upload must end after a day."
  }

  assert {
    condition     = length(aws_s3_bucket_cors_configuration.media) == 0
    error_message = "Without origins no page may put anything."
  }
}

run "a_namespace_is_in_the_prefix_and_before_the_topics" {
  command = plan

  variables {
    namespace = "blue."
  }

  assert {
    condition     = one(aws_s3_bucket_lifecycle_configuration.media.rule[0].filter).prefix == "shutterline-blue/"
    error_message = "The rule must follow the namespace."
  }

  assert {
    condition     = output.topics["blue.fanout"].partitions == local.catalogue["fanout"].profiles["small"].partitions
    error_message = "Topics must be the catalogue's."
  }
}

run "topics_and_processes_have_the_same_profile" {
  command = plan

  variables {
    sizes               = "large"
    upstream_partitions = { likes = 96, uploads = 1 }
  }

  assert {
    condition     = output.settings.SHUTTERLINE_SIZES == "large"
    error_message = "Processes must be told the profile of the topics."
  }

  assert {
    condition     = output.topics["edges"].partitions == local.catalogue["edges"].profiles["large"].partitions
    error_message = "Topics must have the partitions of the profile."
  }

  assert {
    condition     = output.topics["likes"].partitions == 96
    error_message = "An upstream topic must be able to grow."
  }

  assert {
    condition     = output.topics["uploads"].partitions == local.catalogue["uploads"].profiles["large"].partitions
    error_message = "A topic must not have fewer partitions than the profile."
  }
}

run "an_unknown_profile_is_refused" {
  command = plan

  variables {
    sizes = "huge"
  }

  expect_failures = [var.sizes]
}

run "no_other_topic_grows_by_adding_partitions" {
  command = plan

  variables {
    upstream_partitions = { fanout = 96 }
  }

  expect_failures = [var.upstream_partitions]
}

run "nothing_is_served_or_read_without_a_signature" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.media.block_public_acls,
      aws_s3_bucket_public_access_block.media.block_public_policy,
      aws_s3_bucket_public_access_block.media.ignore_public_acls,
      aws_s3_bucket_public_access_block.media.restrict_public_buckets,
    ])
    error_message = "The bucket must be closed."
  }

  assert {
    condition     = one(one(aws_cloudfront_cache_policy.media.parameters_in_cache_key_and_forwarded_to_origin).query_strings_config).query_string_behavior == "none"
    error_message = "A signature must not divide the cache."
  }
}

run "photos_cannot_act_as_pages" {
  command = plan

  assert {
    condition     = one(one(aws_cloudfront_response_headers_policy.media.security_headers_config).content_security_policy).content_security_policy == "default-src 'none'; sandbox"
    error_message = "An object that is opened as a page must run nothing."
  }

  assert {
    condition     = length(aws_cloudfront_response_headers_policy.media.cors_config) == 0
    error_message = "Without origins no page may read photos by scripts."
  }
}

run "originals_and_acls_are_denied" {
  command = plan

  assert {
    condition = alltrue([
      for sid in ["EdgeReadsNoOriginals", "NobodySetsAcls", "NothingWithOldTls", "NothingWithoutTls"] :
      contains([for each in data.aws_iam_policy_document.media.statement : each.sid if each.effect == "Deny"], sid)
    ])
    error_message = "The policy must deny originals to the edge, ACLs, and what is not encrypted."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.media.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Objects must be encrypted at rest."
  }
}

run "a_private_key_is_refused" {
  command = plan

  variables {
    media_keys = { first = "-----BEGIN PRIVATE KEY-----" }
  }

  expect_failures = [var.media_keys]
}

run "a_third_key_is_refused" {
  command = plan

  variables {
    media_keys = { for name in ["a", "b", "c"] : name => "-----BEGIN PUBLIC KEY-----" }
  }

  expect_failures = [var.media_keys]
}

run "an_origin_with_a_star_is_refused" {
  command = plan

  variables {
    upload_origins = ["https://*.example"]
  }

  expect_failures = [var.upload_origins]
}
