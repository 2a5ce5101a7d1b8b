"""Every action of IAM and STS that there is, by AWS's name for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from s3gate.catalog.identity_rows import GROUP, POLICY, PROVIDER, ROLE, USER
from s3gate.iam_api import (
    absent,
    account,
    attachments,
    boundaries,
    details,
    federation,
    groups,
    inline,
    keys,
    policies,
    providers,
    report,
    roles,
    simulate,
    sts,
    tags,
    users,
)
from s3gate.iam_api.query import Action

_SINGLE: Final[dict[str, Action]] = {
    "CreateUser": users.create_user,
    "GetUser": users.get_user,
    "ListUsers": users.list_users,
    "UpdateUser": users.update_user,
    "DeleteUser": users.delete_user,
    "CreateAccessKey": keys.create_access_key,
    "UpdateAccessKey": keys.update_access_key,
    "DeleteAccessKey": keys.delete_access_key,
    "ListAccessKeys": keys.list_access_keys,
    "GetAccessKeyLastUsed": keys.get_access_key_last_used,
    "CreateGroup": groups.create_group,
    "GetGroup": groups.get_group,
    "ListGroups": groups.list_groups,
    "UpdateGroup": groups.update_group,
    "DeleteGroup": groups.delete_group,
    "AddUserToGroup": groups.add_user_to_group,
    "RemoveUserFromGroup": groups.remove_user_from_group,
    "ListGroupsForUser": groups.list_groups_for_user,
    "CreateRole": roles.create_role,
    "GetRole": roles.get_role,
    "ListRoles": roles.list_roles,
    "UpdateRole": roles.update_role,
    "UpdateRoleDescription": roles.update_role_description,
    "UpdateAssumeRolePolicy": roles.update_assume_role_policy,
    "DeleteRole": roles.delete_role,
    "ListInstanceProfilesForRole": roles.list_instance_profiles_for_role,
    "CreatePolicy": policies.create_policy,
    "GetPolicy": policies.get_policy,
    "ListPolicies": policies.list_policies,
    "DeletePolicy": policies.delete_policy,
    "CreatePolicyVersion": policies.create_policy_version,
    "GetPolicyVersion": policies.get_policy_version,
    "ListPolicyVersions": policies.list_policy_versions,
    "SetDefaultPolicyVersion": policies.set_default_policy_version,
    "DeletePolicyVersion": policies.delete_policy_version,
    "ListEntitiesForPolicy": attachments.list_entities_for_policy,
    "SimulatePrincipalPolicy": simulate.simulate_principal_policy,
    "SimulateCustomPolicy": simulate.simulate_custom_policy,
    "CreateOpenIDConnectProvider": providers.create_provider,
    "GetOpenIDConnectProvider": providers.get_provider,
    "ListOpenIDConnectProviders": providers.list_providers,
    "DeleteOpenIDConnectProvider": providers.delete_provider,
    "AddClientIDToOpenIDConnectProvider": providers.add_client_id,
    "RemoveClientIDFromOpenIDConnectProvider": providers.remove_client_id,
    "UpdateOpenIDConnectProviderThumbprint": providers.update_thumbprints,
    "GetAccountAuthorizationDetails": details.get_account_authorization_details,
    "GenerateCredentialReport": report.generate_credential_report,
    "GetCredentialReport": report.get_credential_report,
    "GetAccountSummary": account.get_account_summary,
    "ListAccountAliases": account.list_account_aliases,
    "CreateAccountAlias": account.create_account_alias,
    "DeleteAccountAlias": account.delete_account_alias,
    "ListMFADevices": partial(absent.none_of_user, "MFADevices"),
    "ListSSHPublicKeys": partial(absent.none_of_user, "SSHPublicKeys"),
    "ListServiceSpecificCredentials": partial(absent.none_of_user, "ServiceSpecificCredentials"),
    "ListSigningCertificates": partial(absent.none_of_user, "Certificates"),
    "GetLoginProfile": absent.no_login_profile,
    "DeleteLoginProfile": absent.no_login_profile,
    "ListVirtualMFADevices": partial(absent.none_at_all, "VirtualMFADevices", "mfa", {"IsTruncated": False}),
    "ListSAMLProviders": partial(absent.none_at_all, "SAMLProviderList", "saml-provider", {}),
    "ListInstanceProfiles": partial(absent.none_of_account, "InstanceProfiles", "instance-profile"),
    "ListServerCertificates": partial(absent.none_of_account, "ServerCertificateMetadataList", "server-certificate"),
    "GetAccountPasswordPolicy": absent.no_password_policy,
}

_BEARERS: Final = (("User", USER), ("Group", GROUP), ("Role", ROLE))
_LIMITED: Final = (("User", USER), ("Role", ROLE))
_TAGGED: Final = (*_LIMITED, ("Policy", POLICY), ("OpenIDConnectProvider", PROVIDER))


def _of_nouns() -> Iterator[tuple[str, Action]]:
    """What is the same for several kinds."""
    for noun, kind in _BEARERS:
        yield f"Put{noun}Policy", partial(inline.put_inline, kind)
        yield f"Get{noun}Policy", partial(inline.get_inline, kind)
        yield f"Delete{noun}Policy", partial(inline.delete_inline, kind)
        yield f"List{noun}Policies", partial(inline.list_inline, kind)
        yield f"Attach{noun}Policy", partial(attachments.attach, kind)
        yield f"Detach{noun}Policy", partial(attachments.detach, kind)
        yield f"ListAttached{noun}Policies", partial(attachments.list_attached, kind)
    for noun, kind in _LIMITED:
        yield f"Put{noun}PermissionsBoundary", partial(boundaries.put_boundary, kind)
        yield f"Delete{noun}PermissionsBoundary", partial(boundaries.delete_boundary, kind)
    for noun, kind in _TAGGED:
        yield f"Tag{noun}", partial(tags.tag, kind)
        yield f"Untag{noun}", partial(tags.untag, kind)
        yield f"List{noun}Tags", partial(tags.list_tags, kind)


IAM: Final[dict[str, Action]] = {**_SINGLE, **dict(_of_nouns())}
STS: Final[dict[str, Action]] = {
    "GetCallerIdentity": sts.get_caller_identity,
    "GetAccessKeyInfo": sts.get_access_key_info,
    "GetSessionToken": sts.get_session_token,
    "AssumeRole": sts.assume_role,
    "GetFederationToken": federation.get_federation_token,
    "DecodeAuthorizationMessage": federation.decode_authorization_message,
}
UNSIGNED: Final = "AssumeRoleWithWebIdentity"
"""The one action that needs no signature."""
