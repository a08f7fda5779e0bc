"""Alibaba Cloud's own SDKs for OSS against the simulator: every operation that is simulated, under both signatures.

Run by tests/official_oss.rs, which starts the simulator: python oss_operations.py HOST:PORT FOLDER
The accounts, the buckets and the faults' names are those of the script in that file; FOLDER is that of bucket `folder`.
"""

import os
import sys
import unittest

import alibabacloud_oss_v2
import oss2

FOLDER = sys.argv.pop(2)
ENDPOINT = "http://" + sys.argv.pop(1)
KEY = "a folder/é 中+%~&=#?.json"

oss2.defaults.request_retries = 1


def bucket(version, name="memory", key="plain-key", secret="plain-secret", token=None, region="cn-hangzhou"):
    provider = oss2.credentials.StaticCredentialsProvider(key, secret, token or "")
    auth = (oss2.ProviderAuthV4 if version == 4 else oss2.ProviderAuth)(provider)
    return oss2.Bucket(auth, ENDPOINT, name, region=region)


class Operations:
    """Everything, in memory and in a folder."""

    def setUp(self):
        self.bucket = bucket(self.version, self.name)
        for found in oss2.ObjectIterator(self.bucket):
            self.bucket.delete_object(found.key)

    def test_an_object_is_put_and_got_whole_and_in_part(self):
        put = self.bucket.put_object(KEY, b"0123456789", headers={
            "Content-Type": "application/json", "x-oss-meta-trial": "7"})
        self.assertEqual(put.status, 200)
        got = self.bucket.get_object(KEY)
        self.assertEqual(got.read(), b"0123456789")
        self.assertEqual(got.client_crc, got.server_crc)
        if self.name == "memory":
            self.assertEqual(got.headers["content-type"], "application/json")
            self.assertEqual(got.headers["x-oss-meta-trial"], "7")
        part = self.bucket.get_object(KEY, byte_range=(2, 4))
        self.assertEqual((part.status, part.read()), (206, b"234"))
        self.assertEqual(part.headers["content-range"], "bytes 2-4/10")
        self.assertEqual(self.bucket.get_object(KEY, byte_range=(8, None)).read(), b"89")
        self.assertEqual(self.bucket.get_object(KEY, byte_range=(None, 3)).read(), b"789")
        standard = {"x-oss-range-behavior": "standard"}
        self.assertEqual(self.bucket.get_object(KEY, byte_range=(8, 20), headers=standard).read(), b"89")
        with self.assertRaises(oss2.exceptions.ServerError) as caught:
            self.bucket.get_object(KEY, byte_range=(10, 20), headers=standard)
        self.assertEqual((caught.exception.status, caught.exception.code), (416, "InvalidRange"))
        # Without it, a range that reaches beyond the end is none.
        self.assertEqual(self.bucket.get_object(KEY, byte_range=(8, 20)).read(), b"0123456789")

    def test_heads_and_existence(self):
        self.bucket.put_object(KEY, b"abc")
        self.assertEqual(self.bucket.head_object(KEY).content_length, 3)
        self.assertEqual(self.bucket.get_object_meta(KEY).content_length, 3)
        self.assertTrue(self.bucket.object_exists(KEY))
        self.assertFalse(self.bucket.object_exists("missing"))
        with self.assertRaises(oss2.exceptions.NotFound):
            self.bucket.head_object("missing")
        with self.assertRaises(oss2.exceptions.NotModified):
            etag = self.bucket.head_object(KEY).etag
            self.bucket.get_object(KEY, headers={"If-None-Match": '"%s"' % etag}).read()
        with self.assertRaises(oss2.exceptions.PreconditionFailed):
            self.bucket.get_object(KEY, headers={"If-Match": '"other"'})

    def test_a_put_replaces_unless_that_is_forbidden(self):
        self.bucket.put_object(KEY, b"long enough")
        self.bucket.put_object(KEY, b"short")
        self.assertEqual(self.bucket.get_object(KEY).read(), b"short")
        with self.assertRaises(oss2.exceptions.ServerError) as caught:
            self.bucket.put_object(KEY, b"x", headers={"x-oss-forbid-overwrite": "true"})
        self.assertEqual(caught.exception.code, "FileAlreadyExists")

    def test_a_delete_is_one_also_the_second_time(self):
        self.bucket.put_object(KEY, b"x")
        for _ in range(2):
            self.assertEqual(self.bucket.delete_object(KEY).status, 204)
        with self.assertRaises(oss2.exceptions.NoSuchKey):
            self.bucket.get_object(KEY)

    def test_appending(self):
        first = self.bucket.append_object("log", 0, b"one\n", init_crc=0)
        self.assertEqual(first.next_position, 4)
        second = self.bucket.append_object("log", 4, b"two\n", init_crc=first.crc)
        self.assertEqual(second.next_position, 8)
        self.assertEqual(self.bucket.get_object("log").read(), b"one\ntwo\n")
        self.assertEqual(self.bucket.head_object("log").object_type, "Appendable")
        with self.assertRaises(oss2.exceptions.PositionNotEqualToLength):
            self.bucket.append_object("log", 4, b"late")

    def test_lists_of_both_versions(self):
        keys = sorted(["a/%04d" % n for n in range(7)] + ["b/c/d", "b/e", "中 文+&<"])
        for key in keys:
            self.bucket.put_object(key, key.encode())
        page = self.bucket.list_objects(max_keys=4)
        self.assertTrue(page.is_truncated)
        self.assertEqual([found.key for found in page.object_list], keys[:4])
        self.assertEqual([found.key for found in oss2.ObjectIterator(self.bucket, max_keys=3)], keys)
        self.assertEqual([found.key for found in oss2.ObjectIteratorV2(self.bucket, max_keys=3)], keys)
        folders = self.bucket.list_objects(delimiter="/")
        self.assertEqual(folders.prefix_list, ["a/", "b/"])
        self.assertEqual([found.key for found in folders.object_list], ["中 文+&<"])
        second = self.bucket.list_objects_v2(prefix="b/", delimiter="/", start_after="b/c/")
        self.assertEqual(([found.key for found in second.object_list], second.prefix_list), (["b/e"], []))
        self.assertEqual(second.object_list[0].size, 3)

    def test_signed_addresses(self):
        self.bucket.put_object(KEY, b"signed")
        address = self.bucket.sign_url("GET", KEY, 60, slash_safe=True)
        self.assertEqual(self.bucket.get_object_with_url(address).read(), b"signed")
        ended = self.bucket.sign_url("GET", KEY, -60, slash_safe=True)
        with self.assertRaises(oss2.exceptions.AccessDenied):
            self.bucket.get_object_with_url(ended)

    def test_the_bucket_itself(self):
        info = self.bucket.get_bucket_info()
        self.assertEqual((info.name, info.location), (self.name, "oss-cn-hangzhou"))
        self.assertEqual(self.bucket.get_bucket_location().location, "oss-cn-hangzhou")

    def test_a_missing_bucket(self):
        with self.assertRaises(oss2.exceptions.NoSuchBucket):
            bucket(self.version, "missing").get_object(KEY)

    def refused(self, of):
        with self.assertRaises(oss2.exceptions.OssError) as caught:
            of.put_object("x", b"x")
        return caught.exception.status, caught.exception.code

    def test_keys_and_tokens(self):
        v = self.version
        bucket(v, token="Token/with+special=chars==", key="temporary-key", secret="temporary-secret").put_object("x", b"x")
        self.assertEqual(self.refused(bucket(v, key="unknown")), (403, "InvalidAccessKeyId"))
        self.assertEqual(self.refused(bucket(v, secret="wrong")), (403, "SignatureDoesNotMatch"))
        temporary = {"key": "temporary-key", "secret": "temporary-secret"}
        self.assertEqual(self.refused(bucket(v, **temporary)), (403, "InvalidAccessKeyId"))
        self.assertEqual(self.refused(bucket(v, token="other", **temporary)), (403, "InvalidSecurityToken"))
        ended = bucket(v, key="ended-key", secret="s", token="token")
        self.assertEqual(self.refused(ended), (403, "SecurityTokenExpired"))
        denied = bucket(v, key="denied-key", secret="s")
        self.assertEqual(self.refused(denied), (403, "AccessDenied"))
        self.assertEqual([found.key for found in oss2.ObjectIterator(denied)], ["x"])

    def test_faults(self):
        self.bucket.put_object("fault-503", b"x")
        with self.assertRaises(oss2.exceptions.ServerError) as caught:
            self.bucket.get_object("fault-503")
        self.assertEqual((caught.exception.status, caught.exception.code), (503, "ServiceUnavailable"))
        with self.assertRaises(oss2.exceptions.RequestError):
            self.bucket.get_object("fault-drop")


def operations(version, name):
    return type("V%d_%s" % (version, name), (Operations, unittest.TestCase), {"version": version, "name": name})


MEMORY_1, MEMORY_4 = operations(1, "memory"), operations(4, "memory")
FOLDER_1, FOLDER_4 = operations(1, "folder"), operations(4, "folder")


class Signature(unittest.TestCase):
    def test_version_4_names_the_region(self):
        with self.assertRaises(oss2.exceptions.ServerError) as caught:
            bucket(4, region="cn-beijing").get_bucket_info()
        self.assertIn("region", caught.exception.message)


class Folder(unittest.TestCase):
    def test_a_file_is_an_object_and_an_object_is_a_file(self):
        of = bucket(4, "folder")
        os.makedirs(os.path.join(FOLDER, "job"), exist_ok=True)
        with open(os.path.join(FOLDER, "job/out.json"), "w") as file:
            file.write('{"rmse": 1}')
        self.assertEqual(of.get_object("job/out.json").read(), b'{"rmse": 1}')
        of.put_object("job/new", b"new")
        with open(os.path.join(FOLDER, "job/new")) as file:
            self.assertEqual(file.read(), "new")
        with self.assertRaises(oss2.exceptions.OssError):
            of.put_object("job/../../outside", b"x")


class SecondSdk(unittest.TestCase):
    """The SDK that replaces the first."""

    def test_the_same_with_the_second_sdk(self):
        oss = alibabacloud_oss_v2
        config = oss.config.load_default()
        config.credentials_provider = oss.credentials.StaticCredentialsProvider("plain-key", "plain-secret")
        config.region, config.endpoint, config.use_path_style = "cn-hangzhou", ENDPOINT, True
        client = oss.Client(config)
        client.put_object(oss.PutObjectRequest(bucket="memory", key=KEY, body=b"0123456789"))
        got = client.get_object(oss.GetObjectRequest(bucket="memory", key=KEY, range_header="bytes=3-",
                                                     range_behavior="standard"))
        self.assertEqual((got.status_code, got.body.read()), (206, b"3456789"))
        appended = client.append_object(oss.AppendObjectRequest(bucket="memory", key="second", position=0, body=b"x"))
        self.assertEqual(appended.next_position, 1)
        self.assertEqual(client.head_object(oss.HeadObjectRequest(bucket="memory", key=KEY)).content_length, 10)
        found = client.list_objects_v2(oss.ListObjectsV2Request(bucket="memory", prefix="a folder/"))
        self.assertEqual([object.key for object in found.contents], [KEY])
        client.delete_object(oss.DeleteObjectRequest(bucket="memory", key=KEY))
        with self.assertRaises(oss.exceptions.OperationError) as caught:
            client.get_object(oss.GetObjectRequest(bucket="memory", key=KEY))
        self.assertEqual(caught.exception.unwrap().code, "NoSuchKey")


if __name__ == "__main__":
    unittest.main(verbosity=2)
